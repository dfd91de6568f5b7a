"""`argosy cp`."""

from __future__ import annotations

import sys

from argosy.cli import copying
from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\targosy cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files between a container and the local filesystem",
    """
  -a, --archive       Keep user and group
  -L, --follow-link   Follow a symbolic link that SRC_PATH is
  -q, --quiet         Don't show progress
""",
    arguments=(2, 2),
    also="argosy container cp, argosy cp",
    notes="Use '-' to read a tar archive from stdin, or to write one to stdout.",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    source, target = (split(text) for text in arguments)
    if bool(source[0]) == bool(target[0]):
        if source[0]:
            raise Failure("copying between containers is not supported")
        raise Failure("must specify at least one container source")
    follow = options.on("follow-link")
    if source[0]:
        size = copying.from_container(context.client, *source, target[1], follow=follow)
        shown = target[1]
    else:
        size = copying.to_container(
            context.client, source[1], *target, follow=follow, keep_owner=options.on("archive")
        )
        shown = ":".join(target)
    if not options.on("quiet") and sys.stderr.isatty():
        from argosy.units import format_bytes

        sys.stderr.write(f"Successfully copied {format_bytes(size)} to {shown}\n")
    return 0


def split(text: str) -> tuple[str, str]:
    """Container (empty for the local filesystem) and path."""
    if text.startswith(("/", ".")):
        return "", text
    container, colon, path = text.partition(":")
    return (container, path) if colon and container else ("", text)
