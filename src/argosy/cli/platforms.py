"""`--platform os[/arch[/variant]]`, as the JSON that newer calls of the API take."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris"
    " windows zos".split()
)
_ARCHITECTURES = frozenset(
    "386 aarch64 amd64 arm arm64 armbe armel armhf i386 loong64 mips mips64 mips64le mipsle ppc64 ppc64le"
    " riscv64 s390x wasm x86-64 x86_64".split()
)


def platform_query(text: str) -> dict[str, Any]:
    if not text:
        return {}
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        from argosy.cli.failure import Failure

        raise Failure(f'invalid platform: "{text}"')
    return dict(zip(("os", "architecture", "variant"), parts, strict=False))


def check_platform(text: str) -> None:
    """Docker's client looks at a platform before it asks for it. Raises Failure."""
    if not text:
        return
    from argosy.cli.failure import Failure

    parts = text.lower().split("/")
    problem = ""
    if len(parts) > 3:
        problem = "cannot parse platform specifier"
    elif not all(part.replace("_", "").replace(".", "").replace("-", "").isalnum() for part in parts):
        problem = "an operating system, an architecture and a variant are words"
    elif len(parts) == 1 and parts[0] not in _SYSTEMS and parts[0] not in _ARCHITECTURES:
        problem = "unknown operating system or architecture"
    if problem:
        raise Failure(f'error parsing specified platform: "{text}": {problem}: invalid argument')
