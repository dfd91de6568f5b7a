"""`argosy image inspect`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.inspecting import inspect_each
from argosy.cli.platforms import platform_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    "Display detailed information on one or more images",
    """
  -f, --format string   'json', or a Go template
      --platform string     Of an image for several platforms, this one: os[/arch[/variant]]
""",
    arguments=(1, None),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    platform = platform_query(options.text("platform"))
    return inspect_each(
        arguments,
        options.text("format"),
        lambda name: context.client.inspect_image(name, platform=platform),
    )
