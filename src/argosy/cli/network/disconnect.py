"""`argosy network disconnect`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] NETWORK CONTAINER",
    "Disconnect a container from a network",
    """
  -f, --force   Disconnect it even when it is gone
""",
    arguments=(2, 2),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    network, container = arguments
    body = {"Container": container, "Force": options.on("force")}
    context.client.post(f"/networks/{quote(network)}/disconnect", None, body)
    return 0
