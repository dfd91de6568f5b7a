"""`argosy diff`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTAINER",
    "Inspect changes to files or directories on a container's filesystem",
    arguments=(1, 1),
    also="argosy container diff, argosy diff",
)
_KINDS = ("C", "A", "D")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    for change in context.client.get(f"/containers/{quote(arguments[0])}/changes") or ():
        print(_KINDS[change["Kind"]], change["Path"])
    return 0
