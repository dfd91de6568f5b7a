"""`argosy network connect`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.values import mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] NETWORK CONTAINER",
    "Connect a container to a network",
    """
      --alias strings           A further name on the network
      --driver-opt strings      Driver option: name=value
      --gw-priority int         The network of the highest gives the default gateway
      --ip string               IPv4 address
      --ip6 string              IPv6 address
      --link list               Link to another container: name[:alias]
      --link-local-ip strings   Link-local address
""",
    arguments=(2, 2),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    network, container = arguments
    options_given = options.many("driver-opt")
    if any("=" not in text for text in options_given):
        raise Failure("invalid key/value pair format in driver options")
    addresses = {
        "IPv4Address": options.text("ip"),
        "IPv6Address": options.text("ip6"),
        "LinkLocalIPs": options.many("link-local-ip"),
    }
    endpoint = {
        "IPAMConfig": {key: value for key, value in addresses.items() if value},
        "Links": options.many("link") or None,
        "Aliases": options.many("alias") or None,
        "DriverOpts": mapping(options_given),
        "GwPriority": options.number("gw-priority"),
    }
    body = {"Container": container, "EndpointConfig": endpoint}
    context.client.post(f"/networks/{quote(network)}/connect", None, body)
    return 0
