"""`argosy pull`."""

from __future__ import annotations

import sys

from argosy.cli.flags import Command
from argosy.cli.naming import named
from argosy.cli.pulling import pull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    "Download an image from a registry",
    """
  -a, --all-tags                Download all tagged images of the repository
      --disable-content-trust   Accepted for compatibility (default true)
      --platform string         Platform of the image, as os/arch
  -q, --quiet                   Print only what was pulled
""",
    arguments=(1, 1),
    also="argosy image pull, argosy pull",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    wanted = named(arguments[0], options)
    output = None if options.on("quiet") else sys.stdout
    pull(
        context.client,
        wanted,
        output,
        platform=options.text("platform"),
        all_tags=options.on("all-tags"),
    )
    print(wanted.complete)
    return 0
