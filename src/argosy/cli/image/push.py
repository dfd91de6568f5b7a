"""`argosy push`."""

from __future__ import annotations

import io
import sys

from argosy.cli.credentials import authorization
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.platforms import platform_query
from argosy.cli.progress import show
from argosy.cli.reference import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] NAME[:TAG]",
    "Upload an image to a registry",
    """
  -a, --all-tags                Push all tags of the repository
      --disable-content-trust   Accepted for compatibility (default true)
      --platform string         Push only this platform's manifest: os[/arch[/variant]]
  -q, --quiet                   Print only what was pushed
""",
    arguments=(1, 1),
    also="argosy image push, argosy push",
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
    messages = context.client.push_image(
        wanted.familiar_name,
        authorization(wanted.domain),
        tag=wanted.tag,
        platform=platform_query(options.text("platform")),
    )
    show(messages, io.StringIO() if quiet else sys.stdout)
    if quiet:
        print(wanted.complete)
    return 0
