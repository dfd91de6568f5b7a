"""`argosy pause`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTAINER [CONTAINER...]",
    "Pause all processes within one or more containers",
    arguments=(1, None),
    also="argosy container pause, argosy pause",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    paths = [f"/containers/{quote(name)}/pause" for name in arguments]
    return context.print_each(arguments, context.client.each("POST", paths))
