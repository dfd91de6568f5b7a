"""`argosy load`."""

from __future__ import annotations

import sys

from argosy.cli.archive import read_input
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.platforms import platform_query
from argosy.cli.progress import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Load an image from a tar archive or stdin",
    """
  -i, --input string      Read from this file, instead of stdin
      --platform string   Load only this platform's variant: os[/arch[/variant]]
  -q, --quiet             Don't show progress
""",
    also="argosy image load, argosy load",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    source = options.text("input")
    if not source and sys.stdin.isatty():
        raise Failure("requested load from stdin, but stdin is empty")
    quiet = options.on("quiet") or not sys.stdout.isatty()
    query = {"quiet": "1" if quiet else "0", "platform": platform_query(options.text("platform"))}
    pieces = read_input(source)
    response = context.client.call(
        "POST", "/images/load", query, pieces, ("Content-Type: application/x-tar",)
    )
    show(response.messages(), sys.stdout)
    return 0
