"""`argosy rmi`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.platforms import platform_query
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    "Remove one or more images",
    """
  -f, --force              Remove it though containers or several names refer to it
      --no-prune           Do not delete untagged parents
      --platform strings   Remove only this platform's variant: os[/arch[/variant]]
""",
    arguments=(1, None),
    also="argosy image rm, argosy image remove, argosy rmi",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    query = {"force": options.on("force"), "noprune": options.on("no-prune")}
    platforms = [platform_query(text) for text in options.many("platform")]
    failures = []
    for name in arguments:
        try:
            removed = context.client.remove_image(name, **query, platforms=platforms or None)
        except APIError as error:
            failures.append(error)
            continue
        for item in removed:
            print(f"Deleted: {item['Deleted']}" if item.get("Deleted") else f"Untagged: {item['Untagged']}")
    missing = all(failure.status == 404 for failure in failures)
    for failure in failures:
        context.report(failure)
    return 1 if failures and not (missing and options.on("force")) else 0
