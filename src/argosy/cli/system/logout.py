"""`argosy logout`."""

from __future__ import annotations

from argosy.cli import credentials
from argosy.cli.flags import Command
from argosy.cli.system.login import server_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command("[SERVER]", "Log out from a registry: Docker Hub, if none is named", arguments=(0, 1))


def run(context: Context, options: Options, arguments: list[str]) -> int:
    key = server_key(arguments)
    print(f"Removing login credentials for {key}")
    credentials.erase(key)
    return 0
