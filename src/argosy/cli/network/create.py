"""`argosy network create`."""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.network.pools import pool_configs
from argosy.cli.values import mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] NETWORK",
    "Create a network",
    """
      --attachable            Let containers be attached by hand
      --aux-address map       Address that the driver uses itself: name=address
      --config-from string    The network to copy the configuration from
      --config-only           Create a configuration only
  -d, --driver string         Driver of the network (default "bridge")
      --gateway strings       Gateway of a subnet
      --ingress               Accepted for compatibility
      --internal              Without access to the outside
      --ip-range strings      Give addresses from this part of a subnet
      --ipam-driver string    Driver of address management (default "default")
      --ipam-opt map          Option for that driver: name=value
      --ipv4                  Give IPv4 addresses (default true)
      --ipv6                  Give IPv6 addresses
      --label label           Label: name=value
  -o, --opt map               Driver option: name=value
      --scope string          Scope of the network
      --subnet strings        Subnet, as address/bits
""",
    arguments=(1, 1),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    try:
        pools = pool_configs(
            options.many("subnet"),
            options.many("gateway"),
            options.many("ip-range"),
            mapping(options.many("aux-address")),
        )
    except ValueError as error:
        raise Failure(str(error)) from None
    body: dict[str, object] = {
        "Name": arguments[0],
        "Driver": options.text("driver"),
        "Scope": options.text("scope"),
        "IPAM": {
            "Driver": options.text("ipam-driver"),
            "Options": mapping(options.many("ipam-opt")),
            "Config": pools,
        },
        "Internal": options.on("internal"),
        "Attachable": options.on("attachable"),
        "Ingress": options.on("ingress"),
        "ConfigOnly": options.on("config-only"),
        "Options": mapping(options.many("opt")),
        "Labels": mapping(options.many("label")),
    }
    for name, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if name in options.given:
            body[key] = options.on(name)
    if options.text("config-from"):
        body["ConfigFrom"] = {"Network": options.text("config-from")}
    answer = context.client.post("/networks/create", None, body)
    if answer.get("Warning"):
        sys.stderr.write(f"WARNING: {answer['Warning']}\n")
    print(answer["Id"])
    return 0
