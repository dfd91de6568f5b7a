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
    if not platform.get("architecture") or not platform.get("os"):
        raise Failure("an image needs an operating system and an architecture: --os and --arch say them")
    lists.save(target, entry)
    return 0
