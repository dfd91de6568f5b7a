"""`argosy image prune`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.pruning import confirm, prune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Remove unused images",
    """
  -a, --all             Remove all images without containers, not just dangling ones
      --filter filter   Remove only those that match: until=24h, label=key …
  -f, --force           Don't ask for confirmation
""",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    every = options.on("all")
    if not options.on("force"):
        kind = (
            "all images without at least one container associated to them" if every else "all dangling images"
        )
        confirm(f"This will remove {kind}.")
    conditions = [*options.many("filter"), f"dangling={'false' if every else 'true'}"]
    print(prune(context.client, "images", conditions), end="")
    return 0
