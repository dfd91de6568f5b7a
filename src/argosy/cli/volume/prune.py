"""`argosy volume prune`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.pruning import confirm, prune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Remove unused local volumes",
    """
  -a, --all             Remove named volumes as well, not just anonymous ones
      --filter filter   Remove only those that match: until=24h, label=key …
  -f, --force           Don't ask for confirmation
""",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    every = options.on("all")
    if not options.on("force"):
        kind = "all local volumes" if every else "anonymous local volumes"
        confirm(f"This will remove {kind} not used by at least one container.")
    conditions = [*options.many("filter"), *(["all=true"] if every else [])]
    print(prune(context.client, "volumes", conditions), end="")
    return 0
