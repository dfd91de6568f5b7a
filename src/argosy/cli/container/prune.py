"""`argosy container prune`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.pruning import confirm, prune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Remove all stopped containers",
    """
      --filter filter   Remove only those that match: until=24h, label=key …
  -f, --force           Don't ask for confirmation
""",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if not options.on("force"):
        confirm("This will remove all stopped containers.")
    print(prune(context.client, "containers", options.many("filter")), end="")
    return 0
