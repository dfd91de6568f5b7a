"""The bridge driver: an interface on the host that containers' interfaces are plugged into."""

import os
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

from argosy.linux import netlink
from argosy.network.firewall import Publication
from argosy.network.ipam import mac_of
from argosy.network.ports import ANY, Binding

MTU = 1500
PREFIX = "ag"
_IP_FORWARD = "/proc/sys/net/ipv4/ip_forward"


class Bridge(NamedTuple):
    """A network's interface; `number` is the kernel's index of it."""

    name: str
    number: int
    subnet: IPv4Network
    gateway: IPv4Address


def taken_subnets() -> list[IPv4Network]:
    """What this host routes or has an address in, the default route aside."""
    with netlink.Socket() as route:
        return [interface.network for interface in netlink.routes(route)]


def ensure(name: str, subnet: IPv4Network, gateway: IPv4Address) -> Bridge:
    """Make the bridge, or complete one that is there. Idempotent. Raises OSError."""
    with netlink.Socket() as route:
        links = {link.name: link for link in netlink.links(route)}
        if name not in links:
            mac = bytes.fromhex(mac_of(gateway).replace(":", ""))
            netlink.add_bridge(route, name, mac, MTU)
            links = {link.name: link for link in netlink.links(route)}
        index = links[name].number
        address = IPv4Interface(f"{gateway}/{subnet.prefixlen}")
        if (index, address) not in netlink.addresses(route):
            netlink.add_address(route, index, address)
        netlink.set_up(route, index)
    _write("/proc/sys/net/ipv4/conf/" + name + "/route_localnet", "1")
    with open(_IP_FORWARD) as file:
        forwarding = file.read().strip() == "1"
    if not forwarding:
        _write(_IP_FORWARD, "1")
    return Bridge(name, index, subnet, gateway)


def delete(name: str) -> None:
    """Idempotent."""
    with netlink.Socket() as route:
        netlink.delete_link(route, name)


def host_name_of(container: str) -> str:
    """The name of a container's interface on the host's side: at most 15 characters."""
    return PREFIX + container[:13]


def remove_strays(bridge: Bridge, alive: Sequence[str]) -> list[str]:
    """Delete the bridge's interfaces but those of the containers `alive`. Returns what was deleted."""
    wanted = {host_name_of(container) for container in alive}
    with netlink.Socket() as route:
        strays = [
            link.name
            for link in netlink.links(route)
            if link.master == bridge.number and link.name.startswith(PREFIX) and link.name not in wanted
        ]
        for name in strays:
            netlink.delete_link(route, name)
    return strays


def publications(bindings: Sequence[Binding], container: IPv4Address) -> list[Publication]:
    return [
        Publication(
            None if binding.host == ANY else binding.host,
            binding.host_port,
            binding.protocol,
            container,
            binding.container_port,
        )
        for binding in bindings
    ]


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)
