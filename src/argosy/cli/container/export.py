"""`argosy export`."""

from __future__ import annotations

from argosy.cli.archive import check_output, write_output
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    "Export a container's filesystem as a tar archive",
    """
  -o, --output string   Write to a file, instead of stdout
""",
    arguments=(1, 1),
    also="argosy container export, argosy export",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    output = options.text("output")
    check_output(output, "export container")
    response = context.client.call("GET", f"/containers/{quote(arguments[0])}/export")
    write_output(output, response.pieces())
    return 0
