"""`argosy volume rm`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] VOLUME [VOLUME...]",
    "Remove one or more volumes. A volume that a container uses cannot be removed.",
    """
  -f, --force   Don't complain of volumes that do not exist
""",
    arguments=(1, None),
    also="argosy volume rm, argosy volume remove",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    paths = [f"/volumes/{quote(name)}" for name in arguments]
    return context.print_each(arguments, context.client.each("DELETE", paths, {"force": options.on("force")}))
