"""`argosy builder du`."""

from __future__ import annotations

import time

from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show
from argosy.units import format_bytes, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "Show what the build cache takes",
    f"""
      {FORMAT_HELP}
      --no-trunc        Don't cut descriptions
""",
)
_COLUMNS = (
    ("ID", "ID"),
    ("TYPE", "Type"),
    ("RECLAIMABLE", "Reclaimable"),
    ("SIZE", "Size"),
    ("LAST USED", "LastUsedSince"),
    ("USAGE", "UsageCount"),
    ("DESCRIPTION", "Description"),
)
_SHORT = 12
_WIDTH = 45


def run(context: Context, options: Options, arguments: list[str]) -> int:
    usage = context.client.get("/system/df", {"type": "build-cache"})
    entries = sorted(usage.get("BuildCache") or [], key=lambda entry: entry["LastUsedAt"], reverse=True)
    rows = [_row(entry, whole=options.on("no-trunc")) for entry in entries]
    template = options.text("format")
    show(_COLUMNS, rows, template=template, kind="*formatter.buildCacheContext")
    if not template:
        own = sum(entry["Size"] for entry in entries if not entry["Shared"])
        print(f"Total: {format_bytes(own)}, and what images share")
    return 0


def _row(entry: Document, *, whole: bool) -> Document:
    from argosy.cli.times import unix_seconds

    description = " ".join(entry["Description"].split())
    if not whole and len(description) > _WIDTH:
        description = f"{description[: _WIDTH - 1]}…"
    return {
        **entry,
        "ID": entry["ID"] if whole else entry["ID"][:_SHORT],
        "Description": description,
        # What an image has, too, frees nothing.
        "Size": format_bytes(entry["Size"]) + ("*" if entry["Shared"] else ""),
        "Reclaimable": "false" if entry["InUse"] else "true",
        "LastUsedSince": f"{human_duration(time.time() - unix_seconds(entry['LastUsedAt']))} ago",
        "UsageCount": str(entry["UsageCount"]),
    }
