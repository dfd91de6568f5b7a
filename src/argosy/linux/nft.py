"""nf_tables over netlink: tables, chains, sets, elements and rules, changed in atomic batches.

The encoding is that of linux/netfilter/nf_tables.h. Registers: 0 is the verdict, 1 the first of 16
bytes, 8 and up name 4-byte slices of the same space (8 = the first quarter of register 1).
Numbers in messages are big-endian, unlike the rest of netlink.
"""

import errno
import socket
import struct

from argosy.linux.netlink import (
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REQUEST,
    Socket,
    attribute,
    attributes,
    message,
    nested,
    string,
)

NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8
_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES = 270, 1, 7
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWTABLE, _GETTABLE, _DELTABLE = 0, 1, 2
_NEWCHAIN, _GETCHAIN = 3, 4
_NEWRULE, _GETRULE, _DELRULE = 6, 7, 8
_NEWSET = 9
_NEWSETELEM, _GETSETELEM, _DELSETELEM = 12, 13, 14

NFPROTO_INET = 1
NFPROTO_IPV4 = 2
HOOK_PREROUTING, HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING = 0, 2, 3, 4

SET_INTERVAL, SET_MAP = 4, 8
TYPE_IPV4, TYPE_PROTO, TYPE_SERVICE, TYPE_IFNAME = 7, 12, 13, 41
_ELEM_INTERVAL_END = 1
# The kind of user data that the `nft` and `iptables` tools show as a comment.
_COMMENT = 0

META_NFPROTO, META_L4PROTO, META_IIFNAME, META_OIFNAME = 15, 16, 6, 7
CT_STATE, CT_STATUS = 0, 2
CT_STATE_NEW = 8
CT_STATUS_DNAT = 0x20
NETWORK_HEADER, TRANSPORT_HEADER = 1, 2
EQUAL, NOT_EQUAL = 0, 1
DROP = 0
JUMP = -3
ACCEPT = 1


def _be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def _value(kind: int, data: bytes) -> bytes:
    return nested(kind, attribute(1, data))


def concatenated_type(*types: int) -> int:
    """The type number of a concatenation: six bits a part."""
    number = 0
    for part in types:
        number = number << 6 | part
    return number


def _expression(name: str, *data: bytes) -> bytes:
    return nested(1, string(1, name), nested(2, *data))


def load_meta(key: int, register: int = 1) -> bytes:
    return _expression("meta", _be32(2, key), _be32(1, register))


def load_ct(key: int, register: int = 1) -> bytes:
    return _expression("ct", _be32(2, key), _be32(1, register))


def load_payload(base: int, offset: int, length: int, register: int = 1) -> bytes:
    return _expression("payload", _be32(1, register), _be32(2, base), _be32(3, offset), _be32(4, length))


def load_destination_kind(register: int = 1) -> bytes:
    """`fib daddr type`: 2 when the packet is for this host."""
    return _expression("fib", _be32(1, register), _be32(2, 3), _be32(3, 1 << 1))


def compare(operator: int, data: bytes, register: int = 1) -> bytes:
    return _expression("cmp", _be32(1, register), _be32(2, operator), _value(3, data))


def mask(bits: int, register: int = 1) -> bytes:
    """Keep only `bits` of a 32-bit number in host byte order."""
    return _expression(
        "bitwise",
        _be32(1, register),
        _be32(2, register),
        _be32(3, 4),
        _value(4, struct.pack("=I", bits)),
        _value(5, b"\0\0\0\0"),
    )


def in_set(name: str, register: int = 1, *, inverted: bool = False) -> bytes:
    return _expression("lookup", string(1, name), _be32(2, register), _be32(5, int(inverted)))


def map_lookup(name: str, source: int = 1, destination: int = 1) -> bytes:
    return _expression("lookup", string(1, name), _be32(2, source), _be32(3, destination))


def dnat_ipv4(address_register: int, port_register: int) -> bytes:
    return _expression(
        "nat", _be32(1, 1), _be32(2, NFPROTO_IPV4), _be32(3, address_register), _be32(5, port_register)
    )


def masquerade() -> bytes:
    return _expression("masq")


def verdict(code: int, chain: str = "") -> bytes:
    inner = _be32(1, code) + (string(2, chain) if chain else b"")
    return _expression("immediate", _be32(1, 0), nested(2, nested(2, inner)))


class Batch:
    """Changes to one table that take effect together or not at all."""

    def __init__(self, table: str, family: int = NFPROTO_INET) -> None:
        self._table = table
        self._family = family
        self._messages: list[tuple[int, int, bytes]] = []

    def _add(self, kind: int, flags: int, payload: bytes) -> None:
        header = struct.pack(">BBH", self._family, 0, 0)
        self._messages.append((_SUBSYSTEM | kind, flags, header + payload))

    def add_table(self) -> None:
        """No error if it exists."""
        self._add(_NEWTABLE, NLM_F_CREATE, string(1, self._table))

    def delete_table(self) -> None:
        """Raises FileNotFoundError at commit if it does not exist."""
        self._add(_DELTABLE, 0, string(1, self._table))

    def add_chain(self, name: str, *, kind: str = "", hook: int = 0, priority: int = 0) -> None:
        payload = string(1, self._table) + string(3, name)
        if kind:
            payload += nested(4, _be32(1, hook), _be32(2, priority)) + _be32(5, ACCEPT) + string(7, kind)
        self._add(_NEWCHAIN, NLM_F_CREATE, payload)

    def add_rule(self, chain: str, *expressions: bytes) -> None:
        payload = string(1, self._table) + string(2, chain) + nested(4, *expressions)
        self._add(_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, payload)

    def insert_rule(self, chain: str, comment: str, *expressions: bytes) -> None:
        """At the chain's beginning, with a comment to find it by."""
        text = comment.encode() + b"\0"
        payload = string(1, self._table) + string(2, chain) + nested(4, *expressions)
        payload += attribute(7, bytes([_COMMENT, len(text)]) + text)
        self._add(_NEWRULE, NLM_F_CREATE, payload)

    def delete_rule(self, chain: str, handle: int) -> None:
        payload = string(1, self._table) + string(2, chain) + attribute(3, struct.pack(">Q", handle))
        self._add(_DELRULE, 0, payload)

    def add_set(
        self, name: str, key_types: tuple[int, ...], key_length: int, *, flags: int = 0,
        data_types: tuple[int, ...] = (), data_length: int = 0, number: int,
    ) -> None:  # fmt: skip
        payload = string(1, self._table) + string(2, name) + _be32(3, flags | (SET_MAP if data_types else 0))
        payload += _be32(4, concatenated_type(*key_types)) + _be32(5, key_length)
        if data_types:
            payload += _be32(6, concatenated_type(*data_types)) + _be32(7, data_length)
        if key_types == (TYPE_IFNAME,):
            # User data for the `nft` tool alone: without "key is in host byte order" it prints nothing.
            payload += attribute(13, b"\0\4" + struct.pack("=I", 1))
        self._add(_NEWSET, NLM_F_CREATE, payload + _be32(10, number))

    def _elements(self, set_name: str, elements: list[tuple[bytes, bytes, int]]) -> bytes:
        encoded = [
            nested(
                index,
                _value(1, key),
                *([_value(2, data)] if data else []),
                *([_be32(3, flags)] if flags else []),
            )
            for index, (key, data, flags) in enumerate(elements, 1)
        ]
        return string(1, self._table) + string(2, set_name) + nested(3, *encoded)

    def add_element(self, set_name: str, key: bytes, data: bytes = b"") -> None:
        """Raises FileExistsError at commit when the key is there with other data."""
        self._add(_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, self._elements(set_name, [(key, data, 0)]))

    def delete_element(self, set_name: str, key: bytes) -> None:
        """Raises FileNotFoundError at commit when it is not there."""
        self._add(_DELSETELEM, 0, self._elements(set_name, [(key, b"", 0)]))

    def add_interval(self, set_name: str, first: bytes, after: bytes) -> None:
        """The half-open interval from `first` to `after`."""
        elements = [(first, b"", 0), (after, b"", _ELEM_INTERVAL_END)]
        self._add(_NEWSETELEM, NLM_F_CREATE, self._elements(set_name, elements))

    def delete_interval(self, set_name: str, first: bytes, after: bytes) -> None:
        elements = [(first, b"", 0), (after, b"", _ELEM_INTERVAL_END)]
        self._add(_DELSETELEM, 0, self._elements(set_name, elements))

    def commit(self, netfilter: Socket) -> None:
        """Raises OSError: nothing was changed then."""
        if not self._messages:
            return
        family = struct.pack(">BBH", 0, 0, 10)
        stream = [message(_BATCH_BEGIN, NLM_F_REQUEST, netfilter.next_sequence(), family)]
        awaited = set()
        for position, (kind, flags, payload) in enumerate(self._messages, 1):
            sequence = netfilter.next_sequence()
            awaited.add(sequence)
            # A failure is always answered; an answer to each success could overflow the socket's buffer.
            wanted = NLM_F_ACK if position == len(self._messages) else 0
            stream.append(message(kind, flags | NLM_F_REQUEST | wanted, sequence, payload))
        stream.append(message(_BATCH_END, NLM_F_REQUEST, netfilter.next_sequence(), family))
        netfilter.send(b"".join(stream))
        netfilter.acknowledge(awaited, f"change nftables table {self._table}")


def table_exists(netfilter: Socket, table: str) -> bool:
    payload = struct.pack(">BBH", NFPROTO_INET, 0, 0) + string(1, table)
    try:
        netfilter.request(_SUBSYSTEM | _GETTABLE, 0, payload, f"look up nftables table {table}")
    except FileNotFoundError:
        return False
    return True


class Changes:
    """Whether anybody has changed any ruleset of this network namespace (NFNLGRP_NFTABLES)."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        )
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)
        self._socket.setblocking(False)
        self._first = True

    def close(self) -> None:
        self._socket.close()

    def seen(self) -> bool:
        """Since the last call; True at the first."""
        changed, self._first = self._first, False
        while True:
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return changed
            except OSError as error:
                # More came than the socket has room for.
                if error.errno != errno.ENOBUFS:
                    raise
            changed = True


def chain_exists(netfilter: Socket, family: int, table: str, chain: str) -> bool:
    payload = struct.pack(">BBH", family, 0, 0) + string(1, table) + string(3, chain)
    try:
        netfilter.request(_SUBSYSTEM | _GETCHAIN, 0, payload, f"look up chain {chain}")
    except FileNotFoundError:
        return False
    return True


def rules_with_comment(netfilter: Socket, family: int, table: str, chain: str, comment: str) -> list[int]:
    """The handles of a chain's rules that carry this comment."""
    payload = struct.pack(">BBH", family, 0, 0) + string(1, table) + string(2, chain)
    wanted = bytes([_COMMENT, len(comment) + 1]) + comment.encode() + b"\0"
    found = []
    for body in netfilter.dump(_SUBSYSTEM | _GETRULE, payload, f"list chain {chain}", NLM_F_DUMP):
        values = attributes(body[4:])
        if values.get(7, b"").startswith(wanted):
            found.append(struct.unpack(">Q", values[3])[0])
    return found


# How often a set is read at most until it is twice the same.
_MOST_DUMPS = 20


def elements(netfilter: Socket, table: str, set_name: str) -> dict[bytes, bytes]:
    """Key → data of every element. While the kernel resizes the table behind a set, a dump may miss some
    (rhashtable_walk_next, -EAGAIN): it is read until it is twice the same. A set that others change all the
    time is as it was read last."""
    before = _dumped(netfilter, table, set_name)
    for _ in range(_MOST_DUMPS):
        found = _dumped(netfilter, table, set_name)
        if found == before:
            break
        before = found
    return before


def _dumped(netfilter: Socket, table: str, set_name: str) -> dict[bytes, bytes]:
    payload = struct.pack(">BBH", NFPROTO_INET, 0, 0) + string(1, table) + string(2, set_name)
    found: dict[bytes, bytes] = {}
    for body in netfilter.dump(_SUBSYSTEM | _GETSETELEM, payload, f"list {set_name}", NLM_F_DUMP):
        listed = attributes(body[4:]).get(3, b"")
        position = 0
        while position + 4 <= len(listed):
            (length,) = struct.unpack_from("=H", listed, position)
            values = attributes(listed[position + 4 : position + length])
            data = attributes(values[2])[1] if 2 in values else b""
            found[attributes(values[1])[1]] = data
            position += (length + 3) & ~3
    return found
