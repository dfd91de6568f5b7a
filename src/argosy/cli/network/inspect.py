"""`argosy network inspect`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.inspecting import inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] NETWORK [NETWORK...]",
    "Display detailed information on one or more networks",
    """
  -f, --format string   'json', or a Go template
  -v, --verbose         Accepted for compatibility
""",
    arguments=(1, None),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    return inspect_each(
        arguments,
        options.text("format"),
        lambda name: context.client.inspect_network(name, verbose=options.on("verbose")),
    )
