"""Published ports: from what was asked for to what is bound.

A host port that is published is also held by a socket of the engine, bound and not listening, so that
no other program takes it unnoticed; the packets themselves never reach it, since the firewall has
translated them before.
"""

import errno
import os
import socket
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, ip_address
from typing import NamedTuple

from argosy.errors import ArgosyError, InvalidParameter

ANY = IPv4Address("0.0.0.0")
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}
_IPPROTO_SCTP = 132


class PortTaken(ArgosyError):
    """Docker answers 500 for it, and so do we."""


class Wanted(NamedTuple):
    """One port to publish: any of `first`..`last` on the host, both 0 for one of the engine's choice."""

    host: IPv4Address
    first: int
    last: int
    protocol: str
    container_port: int


class Binding(NamedTuple):
    host: IPv4Address
    host_port: int
    protocol: str
    container_port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.host_port}/{self.protocol}"


def parse_port(text: str) -> tuple[int, str]:
    """`80/tcp` or `80` → (80, "tcp"). Raises InvalidParameter."""
    number, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in _KINDS:
        raise InvalidParameter(f"invalid proto: {protocol}")
    if not number.isascii() or not number.isdigit() or not 0 < int(number) < 65536:
        raise InvalidParameter(f"invalid port specification: {text!r}")
    return int(number), protocol


def parse_wanted(port: str, host_ip: str, host_port: str) -> Wanted:
    """The parts of a HostConfig.PortBindings entry. Raises InvalidParameter."""
    container_port, protocol = parse_port(port)
    try:
        address = ip_address(host_ip or "0.0.0.0")
    except ValueError:
        raise InvalidParameter(f"invalid host IP: {host_ip}") from None
    if not isinstance(address, IPv4Address):
        if address.is_unspecified:
            address = ANY
        else:
            raise InvalidParameter(
                f"cannot publish on {host_ip}: this network has no IPv6",
                hint="Publish on an IPv4 address of the host.",
            )
    start, _, end = host_port.partition("-")
    try:
        first = int(start or 0)
        last = int(end or first)
    except ValueError:
        raise InvalidParameter(f"invalid host port: {host_port}") from None
    if not 0 <= first <= last < 65536:
        raise InvalidParameter(f"invalid host port: {host_port}")
    return Wanted(address, first, last, protocol, container_port)


def _bind(protocol: str, host: IPv4Address, port: int) -> socket.socket:
    kind = socket.socket(socket.AF_INET, _KINDS[protocol], _IPPROTO_SCTP if protocol == "sctp" else 0)
    try:
        kind.bind((str(host), port))
    except BaseException:
        kind.close()
        raise
    return kind


class PortHolder:
    """Every published host port of this engine, with the socket that holds it. Not thread-safe."""

    def __init__(self) -> None:
        self._held: dict[Binding, tuple[str, socket.socket]] = {}

    def hold(self, owner: str, wanted: Iterable[Wanted]) -> list[Binding]:
        """All or nothing. `owner` is shown to who wants the same port. Raises PortTaken."""
        done: list[Binding] = []
        try:
            for request in wanted:
                done.append(self._hold_one(owner, request))
        except BaseException:
            self.release(done)
            raise
        return done

    def hold_again(self, owner: str, bindings: Iterable[Binding]) -> list[Binding]:
        """After a restart: what the containers have. Returns those that somebody else took meanwhile."""
        lost = []
        for binding in bindings:
            try:
                self._held[binding] = (owner, _bind(binding.protocol, binding.host, binding.host_port))
            except OSError:
                lost.append(binding)
        return lost

    def release(self, bindings: Iterable[Binding]) -> None:
        for binding in bindings:
            held = self._held.pop(binding, None)
            if held is not None:
                held[1].close()

    def _hold_one(self, owner: str, wanted: Wanted) -> Binding:
        problem: OSError | None = None
        for port in self._candidates(wanted):
            try:
                holder = _bind(wanted.protocol, wanted.host, port)
            except OSError as error:
                problem = error
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    break
                continue
            binding = Binding(wanted.host, holder.getsockname()[1], wanted.protocol, wanted.container_port)
            self._held[binding] = (owner, holder)
            return binding
        raise self._taken(wanted, problem)

    @staticmethod
    def _candidates(wanted: Wanted) -> Iterator[int]:
        if wanted.first:
            yield from range(wanted.first, wanted.last + 1)
        else:
            yield 0

    def _taken(self, wanted: Wanted, problem: OSError | None) -> PortTaken:
        ports = str(wanted.first) if wanted.first == wanted.last else f"{wanted.first}-{wanted.last}"
        if problem is not None and problem.errno != errno.EADDRINUSE:
            reason = (os.strerror(problem.errno or 0)).lower()
            return PortTaken(f"failed to bind host port {wanted.host}:{ports}/{wanted.protocol}: {reason}")
        for binding, (owner, _) in self._held.items():
            if (binding.protocol, binding.host_port) == (wanted.protocol, wanted.first):
                return PortTaken(
                    f"Bind for {wanted.host}:{ports} failed: port is already allocated",
                    hint=f"Container {owner} publishes {binding.host_port}/{binding.protocol}: "
                    "stop it, or choose another host port.",
                )
        user = who_listens(wanted.protocol, wanted.first)
        return PortTaken(
            f"failed to bind host port {wanted.host}:{ports}/{wanted.protocol}: address already in use",
            hint=f"{user or 'Another program'} is using the port: stop it, or choose another host port.",
        )


def who_listens(protocol: str, port: int) -> str:
    """The program behind a port of the host, as `nginx (pid 42)`, or "" when it cannot be told."""
    inodes = set()
    for family in ("", "6"):
        try:
            with open(f"/proc/net/{protocol}{family}") as table:
                rows = [line.split() for line in table.readlines()[1:]]
        except FileNotFoundError:
            continue
        inodes |= {f"socket:[{row[9]}]" for row in rows if int(row[1].rpartition(":")[2], 16) == port}
    inodes.discard("socket:[0]")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") in inodes:
                    with open(f"/proc/{pid}/comm") as name:
                        return f"{name.read().strip()} (pid {pid})"
        except OSError:
            # The process, or the descriptor, is gone; or it is not ours to look at.
            continue
    return ""
