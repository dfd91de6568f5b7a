"""Platforms (`linux/arm64/v8`): how they are written, and which of an index's is the one to take.

The names are Go's, the normalisation and the order among variants those of containerd's `platforms`.
"""

import os
from collections.abc import Sequence

from argosy.errors import InvalidParameter
from argosy.spec.oci_image import Descriptor, Image, Platform

_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386",
    "armhf": "arm", "armel": "arm", "armv7l": "arm", "armv6l": "arm",
}  # fmt: skip
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7"}
_OPERATING_SYSTEMS = ("linux", "windows", "darwin", "freebsd")


def host_platform() -> Platform:
    machine = os.uname().machine
    architecture = _ARCHITECTURES.get(machine, machine)
    variant = "v6" if machine == "armv6l" else _DEFAULT_VARIANTS.get(architecture, "")
    return normalized(Platform(architecture=architecture, os="linux", variant=variant))


def parse_platform(text: str) -> Platform:
    """`linux/arm64/v8`, `linux/amd64`, `arm64` or `linux`; what is missing is the host's.

    Raises InvalidParameter.
    """
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(part and part.replace("_", "").isalnum() for part in parts):
        raise InvalidParameter(f'"{text}": unknown operating system or architecture: invalid argument')
    host = host_platform()
    if len(parts) == 1:
        if parts[0] in _OPERATING_SYSTEMS:
            return Platform(architecture=host.architecture, os=parts[0], variant=host.variant)
        parts = ["linux", parts[0]]
    variant = parts[2] if len(parts) == 3 else ("v6" if parts[1] == "armel" else "")
    return normalized(Platform(architecture=parts[1], os=parts[0], variant=variant))


def format_platform(platform: Platform) -> str:
    parts = [platform.os, platform.architecture, platform.variant]
    return "/".join(part for part in parts if part)


def normalized(platform: Platform) -> Platform:
    """Without the variant that is meant anyway (arm64's v8), with the one that matters (arm's v7)."""
    architecture = _ARCHITECTURES.get(platform.architecture, platform.architecture)
    variant = platform.variant
    if variant.isdigit():
        variant = "v" + variant
    if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v7"
    return Platform(architecture=architecture, os=platform.os, variant=variant)


def mismatch(name: str, image: Image, wanted: Platform) -> str:
    """What Docker says of an image that is for another platform than `wanted`; empty if it is for that."""
    actual = normalized(Platform(architecture=image.architecture, os=image.os, variant=image.variant))
    if (actual.os, actual.architecture) == (wanted.os, wanted.architecture):
        return ""
    return (
        f"image with reference {name} was found but its platform ({format_platform(actual)}) "
        f"does not match the specified platform ({format_platform(wanted)})"
    )


def choose(descriptors: Sequence[Descriptor], wanted: Platform) -> Descriptor | None:
    """The best match, the first among equals. A descriptor without a platform is the last resort."""
    wanted = normalized(wanted)
    best: Descriptor | None = None
    best_rank = -1
    for descriptor in descriptors:
        rank = _rank(descriptor.platform, wanted)
        if rank > best_rank:
            best, best_rank = descriptor, rank
    return best


def _rank(offered: Platform | None, wanted: Platform) -> int:
    """-1: it does not run there."""
    if offered is None or not offered.architecture:
        return 0
    offered = normalized(offered)
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return -1
    if offered.variant == wanted.variant:
        return 1000
    offered_version, wanted_version = _version(offered), _version(wanted)
    # Older variants run on newer processors, the newest of them best.
    return 1 + offered_version if offered_version < wanted_version else -1


def _version(platform: Platform) -> int:
    digits = platform.variant.removeprefix("v").partition(".")[0]
    if not digits:
        return {"arm64": 8, "amd64": 1}.get(platform.architecture, 0)
    return int(digits) if digits.isdigit() else 0
