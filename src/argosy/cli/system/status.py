"""`argosy system status`."""

from __future__ import annotations

from argosy.cli import autostart
from argosy.cli.context import DEFAULT_HOST
from argosy.cli.flags import Command
from argosy.client.docker import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command("", "Show whether the engine runs; the exit code is 0 if it does, else 3")
NOT_RUNNING = 3


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if not autostart.answers(context.address()):
        print(f"The engine does not answer at {context.host}.")
        return NOT_RUNNING
    version = Client(context.address()).version_document().get("Version", "")
    pid = autostart.engine_pid() if context.host == DEFAULT_HOST else None
    process = f", process {pid}" if pid else ""
    print(f"The engine answers at {context.host}: version {version}{process}.")
    return 0
