"""`argosy system prune`."""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.pruning import confirm, prune_quietly
from argosy.cli.values import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Remove unused data",
    """
  -a, --all             Remove all unused images, not just dangling ones
      --filter filter   Remove only what matches: until=24h, label=key …
  -f, --force           Don't ask for confirmation
      --volumes         Remove anonymous volumes as well
""",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    volumes, conditions = options.on("volumes"), options.many("filter")
    if volumes and any(text.startswith("until=") for text in conditions):
        raise Failure('ERROR: The "until" filter is not supported with "--volumes"')
    if not options.on("force"):
        confirm(_warning(volumes=volumes, every=options.on("all"), conditions=conditions))
    total = 0
    nouns = ["containers", *(["volumes"] if volumes else []), "networks", "images"]
    for noun in nouns:
        own = [f"dangling={'false' if options.on('all') else 'true'}"] if noun == "images" else []
        text, reclaimed = prune_quietly(context.client, noun, [*conditions, *own])
        sys.stdout.write(text)
        total += reclaimed
    answer = context.client.post("/build/prune", {"all": options.on("all"), "filters": filters(conditions)})
    total += int((answer or {}).get("SpaceReclaimed") or 0)
    from argosy.units import format_bytes

    print(f"Total reclaimed space: {format_bytes(total)}")
    return 0


def _warning(*, volumes: bool, every: bool, conditions: list[str]) -> str:
    kind = "all images without at least one container associated to them" if every else "all dangling images"
    items = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        kind,
        "unused build cache",
    ]
    text = "This will remove:\n" + "".join(f"  - {item}\n" for item in items)
    if conditions:
        text += "\n  Items to be pruned will be filtered with:\n"
        text += "".join(f"  - {condition}\n" for condition in sorted(conditions))
    return text
