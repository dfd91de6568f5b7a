"""`argosy system check`."""

from __future__ import annotations

import sys

from argosy.cli.flags import Command
from argosy.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Read the image store through and say what is damaged; the exit code is 1 if anything is",
    """
  -q, --quiet    Say only what is damaged
      --repair   Remove damaged content, so that a pull or a load brings it back
""",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    repair = options.on("repair")
    response = context.client.call("POST", "/system/check", {"repair": "1" if repair else "0"})
    counted = {"content": 0, "snapshot": 0}
    size = damaged = 0
    live = sys.stdout.isatty() and not options.on("quiet")
    for found in response.messages():
        if "error" in found:
            print(found["error"], file=sys.stderr)
            return 1
        counted[found["Kind"]] += 1
        size += found["Size"]
        if found["Problem"]:
            damaged += 1
            needed = f" (needed by {', '.join(found['Images'])})" if found["Images"] else ""
            cleared = "\033[2K\r" if live else ""
            print(f"{cleared}{found['Kind']} {found['Name']}{needed}: {found['Problem']}")
            print(f"  {found['Remedy']}")
        if live:
            print(f"\033[2K\rChecked {format_bytes(size)}", end="", flush=True)
    if live:
        print("\033[2K\r", end="")
    if not options.on("quiet"):
        what = f"{counted['content']} blobs and {counted['snapshot']} snapshots, {format_bytes(size)}"
        print(f"Checked {what}: " + (f"{damaged} damaged." if damaged else "all is whole."))
    return 1 if damaged else 0
