"""`argosy pull`."""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.pulling import pull
from argosy.cli.reference import parse

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
    every, quiet = options.on("all-tags"), options.on("quiet")
    try:
        named = parse(arguments[0])
    except ValueError as error:
        raise Failure(str(error)) from None
    if every and (named.tag or named.digest):
        raise Failure("tag can't be used with --all-tags/-a")
    wanted = named if every else named.tagged()
    if wanted is not named and not quiet:
        print(f"Using default tag: {wanted.tag}")
    output = None if quiet else sys.stdout
    pull(context.client, wanted, output, platform=options.text("platform"), all_tags=every)
    print(wanted.complete)
    return 0
