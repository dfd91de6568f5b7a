"""`argosy stats`."""

from __future__ import annotations

import sys
import time

from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show
from argosy.client.docker import quote
from argosy.client.errors import APIError
from argosy.units import format_binary, format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] [CONTAINER...]",
    "Display resource usage statistics of containers",
    f"""
  -a, --all             Show all containers (default shows just running)
      {FORMAT_HELP}
      --no-stream       Print once instead of going on
      --no-trunc        Don't truncate output
""",
    arguments=(0, None),
    also="argosy container stats, argosy stats",
)
_COLUMNS = (
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
)
_CLEAR = "\x1b[H\x1b[J"
_PAUSE = 1.0


def run(context: Context, options: Options, arguments: list[str]) -> int:
    previous = _sampled(context, options, arguments)
    while True:
        time.sleep(_PAUSE)
        current = _sampled(context, options, arguments)
        rows = [_row(name, sample, previous.get(name), options) for name, sample in current.items()]
        if not options.on("no-stream") and sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
        show(_COLUMNS, rows, template=options.text("format"), kind="*container.statsContext")
        if options.on("no-stream"):
            return 0
        sys.stdout.flush()
        previous = current


def _sampled(context: Context, options: Options, arguments: list[str]) -> dict[str, Document]:
    """What the containers use now, by what they are called here."""
    listed = context.client.list_containers(all=options.on("all")) if not arguments else []
    found: dict[str, Document] = {}
    for name in arguments or [item["Id"] for item in listed]:
        try:
            sample = context.client.get(f"/containers/{quote(name)}/stats", {"stream": "0", "one-shot": "1"})
        except APIError as error:
            if error.status != 404 or arguments:
                raise
            # Gone since it was listed.
            continue
        found[name] = sample
    return found


def _row(name: str, sample: Document, previous: Document | None, options: Options) -> Document:
    identifier = sample.get("id") or ""
    shown = {
        "Container": name if name != identifier else identifier[:12],
        "ID": identifier if options.on("no-trunc") else identifier[:12],
        "Name": (sample.get("name") or "").removeprefix("/"),
    }
    memory = sample.get("memory_stats") or {}
    used, limit = used_memory(memory), memory.get("limit") or 0
    received, sent = network_bytes(sample.get("networks") or {})
    read, written = block_bytes((sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or [])
    sample["precpu_stats"] = (previous or {}).get("cpu_stats")
    return {
        **shown,
        "BlockIO": f"{format_bytes(read, 3)} / {format_bytes(written, 3)}",
        "CPUPerc": f"{cpu_percent(sample):.2f}%",
        "MemPerc": f"{used / limit * 100 if limit else 0:.2f}%",
        "MemUsage": f"{format_binary(used)} / {format_binary(limit)}",
        "NetIO": f"{format_bytes(received, 3)} / {format_bytes(sent, 3)}",
        "PIDs": str((sample.get("pids_stats") or {}).get("current") or 0),
    }


def cpu_percent(sample: Document) -> float:
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    used = _total(now) - _total(before)
    passed = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    count = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or ())
    return used / passed * count * 100 if used > 0 and passed > 0 else 0.0


def _total(stats: Document) -> int:
    return int((stats.get("cpu_usage") or {}).get("total_usage") or 0)


def used_memory(memory: Document) -> int:
    """Without the page cache that could be given back, on either version of cgroups."""
    usage, details = int(memory.get("usage") or 0), memory.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):
        if key in details and details[key] < usage:
            return int(usage - details[key])
    return usage


def network_bytes(networks: Document) -> tuple[int, int]:
    return sum(item["rx_bytes"] for item in networks.values()), sum(
        item["tx_bytes"] for item in networks.values()
    )


def block_bytes(entries: list[Document]) -> tuple[int, int]:
    totals = {"r": 0, "w": 0}
    for entry in entries:
        kind = entry["op"][:1].lower()
        if kind in totals:
            totals[kind] += entry["value"]
    return totals["r"], totals["w"]
