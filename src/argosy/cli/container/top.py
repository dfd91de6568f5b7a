"""`argosy top`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTAINER [ps OPTIONS]",
    "Display the running processes of a container",
    arguments=(1, None),
    interspersed=False,
    also="argosy container top, argosy top",
)
_WIDTH = 20


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.cli.table import render
    from argosy.client.docker import quote

    query = {"ps_args": " ".join(arguments[1:])}
    answer = context.client.get(f"/containers/{quote(arguments[0])}/top", query)
    print(render([answer["Titles"], *(answer["Processes"] or ())], _WIDTH), end="")
    return 0
