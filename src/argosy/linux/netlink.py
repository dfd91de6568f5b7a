"""Netlink (netlink(7)) and the handful of rtnetlink(7) requests that container networks consist of.

Written here because a request costs 20 µs this way and a container start makes seven of them. A
`Socket` belongs to the network namespace that it was opened in for its whole life, so a process that
has left for another namespace can still act in the first.
"""

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface
from typing import NamedTuple

NLM_F_REQUEST = 1
NLM_F_ACK = 4
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLA_F_NESTED = 0x8000

NETLINK_ROUTE = 0
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
IFLA_INFO_SLAVE_KIND = 4
IFLA_INFO_SLAVE_DATA = 5
IFLA_BRPORT_MODE = 4
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
VETH_INFO_PEER = 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 2
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
IFF_UP = 1
_SO_SNDBUFFORCE = 32
_USUAL_BUFFER = 64 << 10

Address = IPv4Interface | IPv6Interface


class Link(NamedTuple):
    number: int
    name: str
    up: bool
    master: int
    mac: str


def attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def string(kind: int, text: str) -> bytes:
    return attribute(kind, text.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[position + 4 : position + length]
        position += (length + 3) & ~3
    return found


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload


# A message yet without a number: kind, flags, payload.
Request = tuple[int, int, bytes]


class Socket:
    """A netlink socket of the current network namespace."""

    def __init__(self, family: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def request(self, kind: int, flags: int, payload: bytes, what: str) -> None:
        """Send one request and wait for its acknowledgement. Raises OSError led by `what`."""
        sequence = self.next_sequence()
        self._socket.send(message(kind, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, payload))
        self.acknowledge({sequence}, what)

    def request_all(self, requests: list[Request], what: str) -> None:
        """Several at once; each is carried out, the first failure raised. Raises OSError led by `what`."""
        sequences = [self.next_sequence() for _ in requests]
        self._socket.send(
            b"".join(
                message(kind, flags | NLM_F_REQUEST | NLM_F_ACK, sequence, payload)
                for sequence, (kind, flags, payload) in zip(sequences, requests, strict=True)
            )
        )
        self.acknowledge(set(sequences), what)

    def send(self, data: bytes) -> None:
        """All of it is one message, which the socket's buffer must have room for."""
        if len(data) > _USUAL_BUFFER:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(data))
        self._socket.send(data)

    def acknowledge(self, sequences: set[int], what: str) -> None:
        """Wait until the last of `sequences` is answered; the first failure of any is raised then."""
        failure = 0
        last = max(sequences)
        answered = False
        while not answered:
            data = self._socket.recv(65536)
            position = 0
            while position < len(data):
                length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, position)
                if kind == NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", data, position + 16)
                    failure = failure or -code
                    # A batch that is refused as a whole is answered with its opening's number.
                    answered = answered or sequence == last or bool(code and sequence not in sequences)
                position += (length + 3) & ~3
        if failure:
            raise OSError(failure, f"{what}: {os.strerror(failure)}")

    def dump(self, kind: int, payload: bytes, what: str, flags: int = NLM_F_DUMP) -> list[bytes]:
        sequence = self.next_sequence()
        self._socket.send(message(kind, flags | NLM_F_REQUEST, sequence, payload))
        answers: list[bytes] = []
        while True:
            data = self._socket.recv(1 << 18)
            position = 0
            while position < len(data):
                length, answer, _, _, _ = struct.unpack_from("=IHHII", data, position)
                body = data[position + 16 : position + length]
                if answer == NLMSG_DONE:
                    return answers
                if answer == NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", body)
                    if code:
                        raise OSError(-code, f"{what}: {os.strerror(-code)}")
                    return answers
                answers.append(body)
                position += (length + 3) & ~3


def _ifinfo(family: int = 0, index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", family, 0, index, flags, change)


def links(route: Socket) -> list[Link]:
    found = []
    for body in route.dump(RTM_GETLINK, _ifinfo(), "list links"):
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
        values = attributes(body[16:])
        master = struct.unpack("=i", values[IFLA_MASTER])[0] if IFLA_MASTER in values else 0
        name = values[IFLA_IFNAME].rstrip(b"\0").decode()
        found.append(Link(index, name, bool(flags & IFF_UP), master, values.get(IFLA_ADDRESS, b"").hex(":")))
    return found


def add_bridge(route: Socket, name: str, mac: bytes, mtu: int = 1500) -> None:
    """A bridge that forwards at once. Raises FileExistsError."""
    information = nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "bridge"))
    payload = (
        _ifinfo(flags=IFF_UP, change=IFF_UP)
        + string(IFLA_IFNAME, name)
        + attribute(IFLA_ADDRESS, mac)
        + u32(IFLA_MTU, mtu)
        + information
    )
    route.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"add bridge {name}")


def add_veth(
    route: Socket, name: str, *, master: int, mtu: int, peer_name: str, peer_mac: bytes, peer_netns: int
) -> None:
    """A veth pair: `name`, up and in the bridge `master`, here; `peer_name` in the namespace behind a fd."""
    request = veth_request(name, master=master, mtu=mtu, peer_name=peer_name, peer_mac=peer_mac)
    route.request(*with_descriptor(request, peer_netns), f"add veth {name}")


def veth_request(
    name: str, *, master: int, mtu: int, peer_name: str, peer_mac: bytes, peer_index: int = 0
) -> Request:
    """As `add_veth`, but for the namespace, which `with_descriptor` fills in. With `peer_index` the peer
    gets that number."""
    peer = nested(
        VETH_INFO_PEER,
        _ifinfo(index=peer_index)
        + string(IFLA_IFNAME, peer_name)
        + attribute(IFLA_ADDRESS, peer_mac)
        + u32(IFLA_MTU, mtu)
        + u32(IFLA_NET_NS_FD, 0),
    )
    payload = (
        _ifinfo(flags=IFF_UP, change=IFF_UP)
        + string(IFLA_IFNAME, name)
        + u32(IFLA_MTU, mtu)
        + u32(IFLA_MASTER, master)
        + nested(IFLA_LINKINFO, string(IFLA_INFO_KIND, "veth"), nested(IFLA_INFO_DATA, peer))
    )
    return RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload


def with_descriptor(request: Request, descriptor: int) -> Request:
    """A request that ends with a descriptor's number, with this one."""
    kind, flags, payload = request
    return kind, flags, payload[:-4] + struct.pack("=I", descriptor)


def hairpin_request(name: str) -> Request:
    """Let frames leave by the bridge port that they came in by. Where br_netfilter is at work, a packet
    that is translated back to its sender's bridge never leaves the bridge, and needs this."""
    slave = string(IFLA_INFO_SLAVE_KIND, "bridge") + nested(
        IFLA_INFO_SLAVE_DATA, attribute(IFLA_BRPORT_MODE, b"\1")
    )
    return RTM_NEWLINK, 0, _ifinfo() + string(IFLA_IFNAME, name) + nested(IFLA_LINKINFO, slave)


def set_up(route: Socket, index: int) -> None:
    route.request(*set_up_request(index), "set link up")


def set_up_request(index: int) -> Request:
    return RTM_NEWLINK, 0, _ifinfo(index=index, flags=IFF_UP, change=IFF_UP)


def delete_link(route: Socket, name: str) -> bool:
    """Whether it was there."""
    try:
        route.request(RTM_DELLINK, 0, _ifinfo() + string(IFLA_IFNAME, name), f"delete link {name}")
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True


def add_address(route: Socket, index: int, address: Address) -> None:
    """Raises FileExistsError."""
    route.request(*add_address_request(index, address), f"add address {address}")


def add_address_request(index: int, address: Address) -> Request:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    payload = struct.pack("=BBBBi", family, address.network.prefixlen, 0, 0, index)
    payload += attribute(IFA_LOCAL, address.ip.packed) + attribute(IFA_ADDRESS, address.ip.packed)
    if address.version == 4:
        payload += attribute(IFA_BROADCAST, address.network.broadcast_address.packed)
    else:
        payload += u32(IFA_FLAGS, IFA_F_NODAD)
    return RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, payload


def addresses(route: Socket) -> list[tuple[int, Address]]:
    """(interface index, address) of every address here."""
    found: list[tuple[int, Address]] = []
    for body in route.dump(RTM_GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0), "list addresses"):
        family, prefix, _, _, index = struct.unpack_from("=BBBBi", body)
        values = attributes(body[8:])
        packed = values.get(IFA_LOCAL) or values.get(IFA_ADDRESS)
        if family in (socket.AF_INET, socket.AF_INET6) and packed:
            found.append((index, ip_interface(f"{ip_address(packed)}/{prefix}")))
    return found


def add_default_route(route: Socket, index: int, gateway: IPv4Address | IPv6Address) -> None:
    route.request(*default_route_request(index, gateway), f"add default route by {gateway}")


def default_route_request(index: int, gateway: IPv4Address | IPv6Address) -> Request:
    family = socket.AF_INET if gateway.version == 4 else socket.AF_INET6
    # Table main, protocol static, universe scope, unicast.
    payload = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 254, 4, 0, 1, 0)
    payload += attribute(RTA_GATEWAY, gateway.packed) + struct.pack("=HHi", 8, RTA_OIF, index)
    return RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, payload


def routes(route: Socket) -> list[IPv4Interface]:
    """The IPv4 destinations that this host has routes to, the default route left out."""
    found = []
    payload = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    for body in route.dump(RTM_GETROUTE, payload, "list routes"):
        prefix, table = body[1], body[4]
        values = attributes(body[12:])
        if table == 254 and RTA_DST in values and prefix:
            found.append(IPv4Interface((values[RTA_DST], prefix)))
    return found
