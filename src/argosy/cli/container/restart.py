"""`argosy restart`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Restart one or more containers",
    """
  -s, --signal string   Signal to send first
  -t, --timeout int     Seconds to wait before it is killed; -1 to wait for ever
""",
    arguments=(1, None),
    hidden={"time": "timeout"},
    also="argosy container restart, argosy restart",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    query: dict[str, object] = {"signal": options.text("signal")}
    if "timeout" in options.given:
        query["t"] = options.number("timeout")
    paths = [f"/containers/{quote(name)}/restart" for name in arguments]
    return context.print_each(arguments, context.client.each("POST", paths, query))
