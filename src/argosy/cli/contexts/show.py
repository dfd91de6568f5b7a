"""`argosy context show`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command("", "Print the name of the current context")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    print(context.name)
    return 0
