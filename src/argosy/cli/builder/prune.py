"""`argosy builder prune`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.pruning import confirm
from argosy.cli.values import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Remove build cache",
    """
  -a, --all                    Remove what images share, too
      --filter filter          Remove only what matches: unused-for=24h, type=exec.cachemount …
  -f, --force                  Don't ask for confirmation
      --keep-storage bytes     Same as --reserved-space
      --max-used-space bytes   Remove the longest unused until the cache is no larger
      --min-free-space bytes   Remove the longest unused until the disk has that much free
      --reserved-space bytes   What may always stay
""",
)
_LIMITS = ("max-used-space", "min-free-space", "reserved-space", "keep-storage")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if not options.on("force"):
        what = "all build cache" if options.on("all") else "all dangling build cache"
        confirm(f"This will remove {what}.")
    query: dict[str, object] = {"all": options.on("all"), "filters": filters(options.many("filter"))}
    query |= {name: options.number(name) or "" for name in _LIMITS}
    answer = context.client.post("/build/prune", query) or {}
    removed = answer.get("CachesDeleted") or []
    if removed:
        print("Deleted build cache objects:", *removed, "", sep="\n")
    from argosy.units import format_bytes

    print(f"Total reclaimed space: {format_bytes(answer.get('SpaceReclaimed') or 0)}")
    return 0
