"""The one nftables table of ours, `inet argosy`. Nothing else on the host's firewall is touched, but for
the two rules below.

A published port is one element of a map, so packets cost the same however many are published. Two
maps: `published_at` for ports bound to one host address, looked up first, and `published` for those
bound to every address. Only packets addressed to this host are looked up.

Tighter than Docker: other hosts reach a container through published ports only, not by a route to
its address; and a container cannot reach services that the host binds to its loopback, which
`route_localnet` (needed for a published port on 127.0.0.1) would otherwise open.

One exception: where Docker is on the same host, it has the kernel drop everything forwarded that is not
its own, and no table of ours can overrule that. Its chain DOCKER-USER is made for rules of others, so
two rules there let our bridge through, to be judged by our own table.
"""

import struct
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from argosy.linux import nft
from argosy.linux.netlink import Socket

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_LOOPBACK = b"\x7f"
_DOCKER = (nft.NFPROTO_IPV4, "filter", "DOCKER-USER")
_RTN_LOCAL = struct.pack("=I", 2)
_SOURCE, _DESTINATION = 12, 16


class Publication(NamedTuple):
    """A host port and where packets to it go. `host` None means every address of the host."""

    host: IPv4Address | None
    host_port: int
    protocol: str
    container: IPv4Address
    container_port: int

    def element(self) -> tuple[str, bytes, bytes]:
        """(map, key, data). Each part of a concatenation is padded to four bytes."""
        key = struct.pack(">B3xH2x", _PROTOCOLS[self.protocol], self.host_port)
        data = self.container.packed + struct.pack(">H2x", self.container_port)
        if self.host is None:
            return "published", key, data
        return "published_at", self.host.packed + key, data


def _interface(name: str) -> bytes:
    return name.encode().ljust(16, b"\0")


def _range(subnet: IPv4Network) -> tuple[bytes, bytes]:
    return subnet.network_address.packed, IPv4Address(int(subnet.broadcast_address) + 1).packed


def _is_ipv4() -> tuple[bytes, bytes]:
    return nft.load_meta(nft.META_NFPROTO), nft.compare(nft.EQUAL, bytes([nft.NFPROTO_IPV4]))


def _ip(offset: int, length: int = 4, register: int = 1) -> bytes:
    return nft.load_payload(nft.NETWORK_HEADER, offset, length, register)


def _is_dnat(*, wanted: bool) -> tuple[bytes, ...]:
    operator = nft.NOT_EQUAL if wanted else nft.EQUAL
    return (
        nft.load_ct(nft.CT_STATUS),
        nft.mask(nft.CT_STATUS_DNAT),
        nft.compare(operator, b"\0\0\0\0"),
    )


class Firewall:
    """The table as the engine drives it. Every method is atomic."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._netfilter = Socket(nft.NETLINK_NETFILTER)
        self._changes = nft.Changes()

    def close(self) -> None:
        self._changes.close()
        self._netfilter.close()

    def install(self, networks: list[tuple[str, IPv4Network]], publications: list[Publication]) -> None:
        """Replace the whole table by one for exactly these: at start, whatever was left behind."""
        batch = nft.Batch(self._table)
        batch.add_table()
        batch.delete_table()
        batch.add_table()
        self._sets(batch)
        self._rules(batch)
        for bridge, subnet in networks:
            batch.add_element("bridges", _interface(bridge))
            batch.add_interval("subnets", *_range(subnet))
        for publication in publications:
            batch.add_element(*publication.element())
        batch.commit(self._netfilter)

    def pass_docker(self, bridge: str) -> None:
        """See above. Idempotent, and nothing at all where there is no Docker or no rule has changed."""
        netfilter = self._netfilter
        if not self._changes.seen():
            return
        if not nft.chain_exists(netfilter, *_DOCKER):
            return
        if nft.rules_with_comment(netfilter, *_DOCKER, self._table):
            return
        family, table, chain = _DOCKER
        batch = nft.Batch(table, family)
        for key in (nft.META_IIFNAME, nft.META_OIFNAME):
            matched = (nft.load_meta(key), nft.compare(nft.EQUAL, _interface(bridge)))
            batch.insert_rule(chain, self._table, *matched, nft.verdict(nft.ACCEPT))
        batch.commit(netfilter)

    def uninstall(self) -> None:
        """Idempotent."""
        family, table, chain = _DOCKER
        if nft.chain_exists(self._netfilter, *_DOCKER):
            docker = nft.Batch(table, family)
            for handle in nft.rules_with_comment(self._netfilter, *_DOCKER, self._table):
                docker.delete_rule(chain, handle)
            docker.commit(self._netfilter)
        batch = nft.Batch(self._table)
        batch.add_table()
        batch.delete_table()
        batch.commit(self._netfilter)

    def add_network(self, bridge: str, subnet: IPv4Network) -> None:
        batch = nft.Batch(self._table)
        batch.add_element("bridges", _interface(bridge))
        batch.add_interval("subnets", *_range(subnet))
        batch.commit(self._netfilter)

    def remove_network(self, bridge: str, subnet: IPv4Network) -> None:
        batch = nft.Batch(self._table)
        batch.delete_element("bridges", _interface(bridge))
        batch.delete_interval("subnets", *_range(subnet))
        batch.commit(self._netfilter)

    def publish(self, publications: list[Publication]) -> None:
        batch = nft.Batch(self._table)
        for publication in publications:
            batch.add_element(*publication.element())
        batch.commit(self._netfilter)

    def withdraw(self, publications: list[Publication]) -> None:
        batch = nft.Batch(self._table)
        for publication in publications:
            name, key, _ = publication.element()
            batch.delete_element(name, key)
        batch.commit(self._netfilter)

    def published(self) -> dict[tuple[str, bytes], bytes]:
        """(map, key) → data of every element, as the kernel has them."""
        return {
            (name, key): data
            for name in ("published", "published_at")
            for key, data in nft.elements(self._netfilter, self._table, name).items()
        }

    @staticmethod
    def _sets(batch: nft.Batch) -> None:
        port = (nft.TYPE_PROTO, nft.TYPE_SERVICE)
        target = (nft.TYPE_IPV4, nft.TYPE_SERVICE)
        batch.add_set("published", port, 8, data_types=target, data_length=8, number=1)
        batch.add_set("published_at", (nft.TYPE_IPV4, *port), 12, data_types=target, data_length=8, number=2)
        batch.add_set("bridges", (nft.TYPE_IFNAME,), 16, number=3)
        batch.add_set("subnets", (nft.TYPE_IPV4,), 4, flags=nft.SET_INTERVAL, number=4)

    @staticmethod
    def _rules(batch: nft.Batch) -> None:
        batch.add_chain("translate")
        batch.add_rule(
            "translate",
            *_is_ipv4(),
            _ip(_DESTINATION),
            nft.load_meta(nft.META_L4PROTO, 9),
            nft.load_payload(nft.TRANSPORT_HEADER, 2, 2, 10),
            nft.map_lookup("published_at"),
            nft.dnat_ipv4(1, 9),
        )
        batch.add_rule(
            "translate",
            *_is_ipv4(),
            nft.load_meta(nft.META_L4PROTO, 1),
            nft.load_payload(nft.TRANSPORT_HEADER, 2, 2, 9),
            nft.map_lookup("published"),
            nft.dnat_ipv4(1, 9),
        )
        for name, hook in (("prerouting", nft.HOOK_PREROUTING), ("output", nft.HOOK_OUTPUT)):
            batch.add_chain(name, kind="nat", hook=hook, priority=-100)
            batch.add_rule(
                name,
                nft.load_destination_kind(),
                nft.compare(nft.EQUAL, _RTN_LOCAL),
                nft.verdict(nft.JUMP, "translate"),
            )

        batch.add_chain("postrouting", kind="nat", hook=nft.HOOK_POSTROUTING, priority=100)
        from_container = (*_is_ipv4(), _ip(_SOURCE), nft.in_set("subnets"))
        to_bridge = (nft.load_meta(nft.META_OIFNAME), nft.in_set("bridges"))
        not_to_bridge = (nft.load_meta(nft.META_OIFNAME), nft.in_set("bridges", inverted=True))
        from_loopback = (*_is_ipv4(), _ip(_SOURCE, 1), nft.compare(nft.EQUAL, _LOOPBACK))
        batch.add_rule("postrouting", *from_container, *not_to_bridge, nft.masquerade())
        batch.add_rule("postrouting", *from_loopback, *to_bridge, nft.masquerade())
        # A container that calls a published port of its own network: the answer must come back
        # through the host, which undoes the translation.
        hairpin = (_ip(_DESTINATION), nft.in_set("subnets"), *_is_dnat(wanted=True))
        batch.add_rule("postrouting", *from_container, *hairpin, nft.masquerade())

        batch.add_chain("forward", kind="filter", hook=nft.HOOK_FORWARD, priority=0)
        batch.add_rule(
            "forward",
            nft.load_meta(nft.META_IIFNAME),
            nft.in_set("bridges", inverted=True),
            *to_bridge,
            nft.load_ct(nft.CT_STATE),
            nft.mask(nft.CT_STATE_NEW),
            nft.compare(nft.NOT_EQUAL, b"\0\0\0\0"),
            *_is_dnat(wanted=False),
            nft.verdict(nft.DROP),
        )

        batch.add_chain("ingress", kind="filter", hook=nft.HOOK_PREROUTING, priority=-300)
        batch.add_rule(
            "ingress",
            nft.load_meta(nft.META_IIFNAME),
            nft.in_set("bridges"),
            *_is_ipv4(),
            _ip(_DESTINATION, 1),
            nft.compare(nft.EQUAL, _LOOPBACK),
            nft.verdict(nft.DROP),
        )
