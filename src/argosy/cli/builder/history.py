"""`argosy builder history`."""

from __future__ import annotations

import time

from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show
from argosy.units import human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] [BUILD]",
    "List past builds, or show the steps of one with their times and logs",
    f"""
      {FORMAT_HELP}
  -q, --quiet           Only display IDs
""",
    arguments=(0, 1),
)
_COLUMNS = (
    ("BUILD ID", "ID"),
    ("NAME", "Name"),
    ("STATUS", "Status"),
    ("CREATED", "CreatedSince"),
    ("DURATION", "Duration"),
    ("IMAGE", "Image"),
)
_NANOSECONDS = 1_000_000_000
_SHORT = 12


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if arguments:
        _print_steps(context.client.get(f"/builds/{arguments[0]}"))
        return 0
    rows = [_row(past) for past in context.client.get("/builds")]
    quiet = "ID" if options.on("quiet") else ""
    show(_COLUMNS, rows, template=options.text("format"), quiet=quiet, kind="*formatter.buildContext")
    return 0


def _row(past: Document) -> Document:
    place = past["place"].partition("\0")[0].rstrip("/").rpartition("/")[2]
    return {
        "ID": past["id"][:_SHORT],
        "Name": ", ".join(past.get("tags") or ()) or f"{place}/{past['name']}",
        "Status": past.get("status", "running"),
        "CreatedSince": f"{human_duration(time.time() - past['started'] / _NANOSECONDS)} ago",
        "Duration": f"{past.get('seconds', 0):.1f}s",
        "Image": past.get("image", "").partition(":")[2][:_SHORT],
    }


def _print_steps(past: Document) -> None:
    row = _row(past)
    print(f"{row['Name']}: {row['Status']} {row['CreatedSince']}, {row['Duration']}")
    for step in past.get("steps") or ():
        state = "CACHED" if step.get("cached") else f"{step.get('seconds', 0):.1f}s"
        print(f"{state:>8}  {' '.join(step['name'].split())}")
        for line in step.get("log", "").splitlines():
            print(f"          | {line}")
        if step.get("error"):
            print(f"   ERROR  {step['error']}")
    if past.get("error"):
        print(f"ERROR: {past['error']}")
