"""`argosy import`."""

from __future__ import annotations

import sys

from argosy.cli.archive import read_input
from argosy.cli.flags import Command
from argosy.cli.progress import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    "Import the contents from a tarball to create a filesystem image",
    """
  -c, --change list       Apply a Dockerfile instruction to the image
  -m, --message string    Commit message
      --platform string   Platform of the image, as os/arch
""",
    arguments=(1, 2),
    also="argosy image import, argosy import",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    source = arguments[0]
    local = not source.startswith(("http://", "https://"))
    query: dict[str, object] = {
        "fromSrc": "-" if local else source,
        "message": options.text("message"),
        "changes": options.many("change"),
        "platform": options.text("platform"),
        "repo": arguments[1] if len(arguments) > 1 else "",
    }
    pieces = read_input("" if source == "-" else source) if local else None
    response = context.client.call(
        "POST", "/images/create", query, pieces, ("Content-Type: application/x-tar",)
    )
    show(response.messages(), sys.stdout)
    return 0
