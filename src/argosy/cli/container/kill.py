"""`argosy kill`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Kill one or more running containers",
    """
  -s, --signal string   Signal to send instead of KILL
""",
    arguments=(1, None),
    also="argosy container kill, argosy kill",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    query = {"signal": options.text("signal") or "KILL"}
    paths = [f"/containers/{quote(name)}/kill" for name in arguments]
    return context.print_each(arguments, context.client.each("POST", paths, query))
