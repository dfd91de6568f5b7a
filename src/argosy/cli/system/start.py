"""`argosy system start`."""

from __future__ import annotations

import os

from argosy.cli import autostart
from argosy.cli.context import DEFAULT_HOST
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.client.transport import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command("", "Start the engine, if it does not run")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if autostart.answers(Address(DEFAULT_HOST)):
        print("The engine runs already.")
        return 0
    if os.geteuid() != 0:
        raise Failure("argosy: only root may start the engine\nhint: sudo argosy system start")
    autostart.start(DEFAULT_HOST)
    print("The engine runs.")
    return 0
