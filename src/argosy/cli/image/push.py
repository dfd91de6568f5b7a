"""`argosy push`."""

from __future__ import annotations

import io
import sys

from argosy.cli.credentials import authorization
from argosy.cli.flags import Command
from argosy.cli.naming import named
from argosy.cli.platforms import platform_query
from argosy.cli.progress import show

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


_NOTE = """
 Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index.
         Other components, like attestations, will not be included.
         To push the complete multi-platform image, remove the --platform flag.
         """


def run(context: Context, options: Options, arguments: list[str]) -> int:
    quiet = options.on("quiet")
    wanted = named(arguments[0], options)
    platform = platform_query(options.text("platform"))
    if platform:
        print(_NOTE)
    messages = context.client.push_image(
        wanted.familiar_name, authorization(wanted.domain), tag=wanted.tag, platform=platform
    )
    show(messages, io.StringIO() if quiet else sys.stdout)
    if quiet:
        print(wanted.complete)
    return 0
