"""IPv4 addresses: which subnet a network takes, and which address a container gets. Pure.

Addresses go out lowest first, and a MAC address is derived from its IPv4 address, so a neighbour that
still remembers the last holder of an address is never wrong.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from argosy.errors import Conflict, InvalidParameter

# Docker's default pools, so that what administrators planned for keeps fitting.
DEFAULT_POOLS = (
    *(IPv4Network(f"172.{second}.0.0/16") for second in range(17, 32)),
    *IPv4Network("192.168.0.0/16").subnets(new_prefix=20),
)


def choose_subnet(taken: Iterable[IPv4Network], pools: Iterable[IPv4Network] = DEFAULT_POOLS) -> IPv4Network:
    """The first pool that overlaps nothing on this host. Raises Conflict."""
    known = list(taken)
    for pool in pools:
        if not any(pool.overlaps(other) for other in known):
            return pool
    raise Conflict(
        "all predefined address pools have been fully subnetted",
        hint="Remove networks that are not used, or give the subnet yourself.",
    )


def mac_of(address: IPv4Address) -> str:
    return "02:42:" + ":".join(f"{byte:02x}" for byte in address.packed)


class AddressPool:
    """The addresses of one subnet. The network, gateway and broadcast addresses are never given out."""

    def __init__(self, subnet: IPv4Network, gateway: IPv4Address) -> None:
        self.subnet = subnet
        self.gateway = gateway
        self._used = bytearray(subnet.num_addresses)
        self._first = int(subnet.network_address)
        for reserved in (subnet.network_address, subnet.broadcast_address, gateway):
            self._used[int(reserved) - self._first] = 1

    def allocate(self) -> IPv4Address:
        """Raises Conflict when the subnet is full."""
        offset = self._used.find(0)
        if offset < 0:
            raise Conflict(f"no available IPv4 addresses on this network's address pool: {self.subnet}")
        self._used[offset] = 1
        return IPv4Address(self._first + offset)

    def reserve(self, address: IPv4Address) -> None:
        """Take this very address. Raises InvalidParameter, Conflict."""
        if address not in self.subnet:
            raise InvalidParameter(f"invalid address {address}: it does not belong to {self.subnet}")
        offset = int(address) - self._first
        if self._used[offset]:
            raise Conflict(f"Address already in use: {address}")
        self._used[offset] = 1

    def release(self, address: IPv4Address) -> None:
        self._used[int(address) - self._first] = 0
