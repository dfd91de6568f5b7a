"""`argosy manifest annotate`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.manifest import lists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] MANIFEST_LIST MANIFEST",
    "Say for which platform an image of a local manifest list is",
    """
      --arch string           Architecture
      --os string             Operating system
      --os-features strings   Features of the operating system
      --os-version string     Version of the operating system
      --variant string        Variant of the architecture
""",
    arguments=(2, 2),
)
_KNOWN = frozenset(
    f"{system}/{architecture}"
    for system, architectures in {
        "aix": "ppc64",
        "darwin": "386 amd64 arm arm64",
        "dragonfly": "amd64",
        "freebsd": "386 amd64 arm arm64",
        "linux": "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x",
        "netbsd": "386 amd64 arm",
        "openbsd": "386 amd64 arm",
        "plan9": "386 amd64",
        "solaris": "amd64",
        "windows": "386 amd64 arm arm64",
    }.items()
    for architecture in architectures.split()
)
_FIELDS = {"arch": "architecture", "os": "os", "os-version": "os.version", "variant": "variant"}


def run(context: Context, options: Options, arguments: list[str]) -> int:
    target, image = lists.reference(arguments[0]), lists.reference(arguments[1])
    if not lists.exists(target):
        raise Failure(f"No such manifest: {target.complete}")
    for entry in lists.load(target):
        if entry["Ref"] == image.complete:
            break
    else:
        raise Failure(f"manifest for image {image.complete} does not exist in {target.complete}")
    platform = entry["Descriptor"].setdefault("platform", {})
    for flag, field in _FIELDS.items():
        if options.text(flag):
            platform[field] = options.text(flag)
    features = options.many("os-features")
    if features:
        platform["os.features"] = sorted({*platform.get("os.features", []), *features})
    if f"{platform.get('os')}/{platform.get('architecture')}" not in _KNOWN:
        given = f"{options.text('os')}/{options.text('arch')}"
        raise Failure(f"manifest entry for image has unsupported os/arch combination: {given}")
    lists.save(target, entry)
    return 0
