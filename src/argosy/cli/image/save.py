"""`argosy save`."""

from __future__ import annotations

from argosy.cli.archive import check_output, write_output
from argosy.cli.flags import Command
from argosy.cli.platforms import platform_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    "Save one or more images to a tar archive (streamed to stdout by default)",
    """
  -o, --output string     Write to a file, instead of stdout
      --platform string   Save only this platform's variant: os[/arch[/variant]]
""",
    arguments=(1, None),
    also="argosy image save, argosy save",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    output = options.text("output")
    check_output(output, "save image")
    query = {"names": arguments, "platform": platform_query(options.text("platform"))}
    write_output(output, context.client.call("GET", "/images/get", query).pieces())
    return 0
