"""EXPOSE's ports: `80`, `80/udp`, `8000-8010`. Docker still reads, and ignores, an address and host port."""

import ipaddress
from collections.abc import Iterable

from argosy.build.complain import DockerfileError
from argosy.build.words import quoted

_PROTOCOLS = ("tcp", "udp", "sctp")


def exposed(words: Iterable[str]) -> list[str]:
    """`80/tcp` for each port. Raises DockerfileError."""
    return [port for word in words for port in _exposed(word)]


def has_host_part(word: str) -> bool:
    return ":" in word


def protocol(word: str) -> str:
    """As written, empty if absent."""
    return word.rpartition(":")[2].partition("/")[2]


def _exposed(word: str) -> list[str]:
    rest, _, container = word.rpartition(":")
    address, _, host = rest.rpartition(":")
    ports, _, protocol = container.partition("/")
    if not ports:
        raise DockerfileError(f"invalid port: {quoted(word)}: no port specified")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise DockerfileError(f"invalid port: {quoted(word)}: invalid proto: {protocol}")
    _check_address(address)
    span = _range(ports, "containerPort")
    if host:
        on_host = _range(host, "hostPort")
        if len(span) > 1 and len(span) != len(on_host):
            raise DockerfileError(
                f"invalid ranges specified for container and host Ports: {ports} and {host}"
            )
    return [f"{port}/{protocol}" for port in span]


def _check_address(address: str) -> None:
    if not address:
        return
    try:
        ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise DockerfileError(f"invalid IP address: {address}") from None


def _range(text: str, what: str) -> range:
    first, dash, last = text.partition("-")
    bounds = (first, last if dash else first)
    if not all(bound.isascii() and bound.isdigit() and len(bound) < 20 for bound in bounds):
        raise DockerfileError(f"invalid {what}: {text}")
    start, end = int(bounds[0]), int(bounds[1])
    if start > end or end > 0xFFFF:
        raise DockerfileError(f"invalid {what}: {text}")
    return range(start, end + 1)
