"""`argosy network prune`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.pruning import confirm, prune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Remove all unused networks",
    """
      --filter filter   Remove only those that match: until=24h, label=key …
  -f, --force           Don't ask for confirmation
""",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if not options.on("force"):
        confirm("This will remove all custom networks not used by at least one container.")
    print(prune(context.client, "networks", options.many("filter")), end="")
    return 0
