"""`argosy system df`."""

from __future__ import annotations

import sys

from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show
from argosy.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "Show disk usage",
    f"""
      {FORMAT_HELP}
  -v, --verbose         Show every object
""",
)
_COLUMNS = (
    ("TYPE", "Type"),
    ("TOTAL", "TotalCount"),
    ("ACTIVE", "Active"),
    ("SIZE", "Size"),
    ("RECLAIMABLE", "Reclaimable"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    usage = context.client.get("/system/df")
    if options.on("verbose"):
        from argosy.cli.system.df_verbose import report

        sys.stdout.write(report(usage))
        return 0
    rows = [_images(usage), _containers(usage), _volumes(usage), _cache(usage)]
    show(_COLUMNS, rows, template=options.text("format"), kind="*formatter.diskUsageImagesContext")
    return 0


def _row(kind: str, total: int, active: int, size: int, reclaimable: int, *, ratio: bool = True) -> Document:
    shown = format_bytes(reclaimable)
    if ratio and size > 0:
        shown += f" ({reclaimable * 100 // size}%)"
    return {
        "Active": str(active),
        "Reclaimable": shown,
        "Size": format_bytes(size),
        "TotalCount": str(total),
        "Type": kind,
    }


def _images(usage: Document) -> Document:
    images = usage.get("Images") or []
    size = usage.get("LayersSize") or 0
    used = sum(
        image["Size"] - max(image.get("SharedSize", 0), 0) for image in images if image["Containers"] > 0
    )
    return _row("Images", len(images), sum(image["Containers"] > 0 for image in images), size, size - used)


def _containers(usage: Document) -> Document:
    containers = usage.get("Containers") or []
    running = [item for item in containers if item["State"] in ("running", "paused", "restarting")]
    size = sum(item.get("SizeRw") or 0 for item in containers)
    kept = sum(item.get("SizeRw") or 0 for item in running)
    return _row("Containers", len(containers), len(running), size, size - kept)


def _volumes(usage: Document) -> Document:
    data = [volume.get("UsageData") or {} for volume in usage.get("Volumes") or []]
    size = sum(max(item.get("Size", 0), 0) for item in data)
    free = sum(max(item.get("Size", 0), 0) for item in data if not item.get("RefCount"))
    return _row("Local Volumes", len(data), sum(item.get("RefCount", 0) > 0 for item in data), size, free)


def _cache(usage: Document) -> Document:
    records = usage.get("BuildCache") or []
    size = sum(item["Size"] for item in records if not item.get("Shared"))
    kept = sum(item["Size"] for item in records if item.get("InUse") and not item.get("Shared"))
    active = sum(bool(item.get("InUse")) for item in records)
    return _row("Build Cache", len(records), active, size, size - kept, ratio=False)
