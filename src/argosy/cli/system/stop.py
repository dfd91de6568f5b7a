"""`argosy system stop`."""

from __future__ import annotations

import os
import time
from _signal import SIGTERM  # type: ignore[import-not-found]

from argosy.cli import autostart
from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "Stop the engine; containers go on running",
    """
  -t, --timeout int   Seconds to wait for it (default 10)
""",
)
_PAUSE = 0.02


def run(context: Context, options: Options, arguments: list[str]) -> int:
    pid = autostart.engine_pid()
    if pid is None:
        print("The engine does not run.")
        return 0
    try:
        os.kill(pid, SIGTERM)
    except PermissionError:
        raise Failure("argosy: only root may stop the engine\nhint: sudo argosy system stop") from None
    deadline = time.monotonic() + options.number("timeout")
    while autostart.engine_pid() == pid:
        if time.monotonic() > deadline:
            raise Failure(f"argosy: the engine, process {pid}, did not stop in time")
        time.sleep(_PAUSE)
    print("The engine has stopped.")
    return 0
