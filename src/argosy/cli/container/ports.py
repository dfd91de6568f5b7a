"""`--publish` and `--expose`.

    [[address:][host port]:]container port[/protocol]     a port may be a range: 7000-7010
    published=80,target=8080,protocol=tcp

A range of host ports for one container port asks for any free one of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Bindings = dict[str, list[dict[str, str]]]

_PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST = 65535


def parse_published(specs: Iterable[str]) -> Bindings:
    """The API's `PortBindings`. Raises ValueError with Docker's text."""
    bindings: Bindings = {}
    for spec in specs:
        for port, address, host_port in _parse(_from_pairs(spec) if "=" in spec else spec):
            bindings.setdefault(port, []).append({"HostIp": address, "HostPort": host_port})
    return bindings


def parse_exposed(specs: Iterable[str]) -> list[str]:
    ports = []
    for spec in specs:
        if ":" in spec:
            raise ValueError(f"invalid port format for --expose: {spec}")
        protocol, span = _split_protocol(spec)
        try:
            first, last = parse_range(span)
        except ValueError as error:
            raise ValueError(f"invalid range format for --expose: {spec}, error: {error}") from None
        ports += [f"{port}/{protocol}" for port in range(first, last + 1)]
    return ports


def parse_range(text: str) -> tuple[int, int]:
    if not text:
        raise ValueError("Empty string specified for ports.")
    first_text, dash, last_text = text.partition("-")
    first = _number(first_text)
    last = _number(last_text) if dash else first
    if last < first:
        raise ValueError(f"Invalid range specified for the Port: {text}")
    return first, last


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > _HIGHEST:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _from_pairs(spec: str) -> str:
    given = {}
    for pair in spec.split(","):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"invalid publish opts format (should be name=value but got '{pair}')")
        given[key] = value
    return f"{given.get('published', '')}:{given.get('target', '')}/{given.get('protocol', 'tcp')}"


def _split_protocol(text: str) -> tuple[str, str]:
    port, _, protocol = text.partition("/")
    if not port:
        return "", ""
    return (protocol or "tcp").lower(), port


def _parse(spec: str) -> list[tuple[str, str, str]]:
    """(container port, address, host port) of each port of a spec."""
    parts = spec.split(":")
    host_span = parts[-2] if len(parts) > 1 else ""
    address = _address(":".join(parts[:-2]))
    protocol, span = _split_protocol(parts[-1])
    if not span:
        raise ValueError(f"No port specified: {spec}<empty>")
    try:
        first, last = parse_range(span)
    except ValueError:
        raise ValueError(f"Invalid containerPort: {span}") from None
    try:
        host_first, host_last = parse_range(host_span) if host_span else (0, 0)
    except ValueError:
        raise ValueError(f"Invalid hostPort: {host_span}") from None
    if host_span and last - first != host_last - host_first and first != last:
        raise ValueError(f"Invalid ranges specified for container and host Ports: {span} and {host_span}")
    if protocol not in _PROTOCOLS:
        raise ValueError(f"Invalid proto: {protocol}")
    result = []
    for offset in range(last - first + 1):
        host_port = ""
        if host_span:
            host_port = str(host_first + offset)
            if first == last and host_first != host_last:
                host_port += f"-{host_last}"
        result.append((f"{first + offset}/{protocol}", address, host_port))
    return result


def _address(text: str) -> str:
    if not text:
        return ""
    if text.startswith("[") and text.endswith("]"):
        bare = text[1:-1]
    elif ":" in text:
        raise ValueError(f"Invalid ip address {text}: address {text}:: too many colons in address")
    else:
        bare = text
    import ipaddress

    try:
        ipaddress.ip_address(bare)
    except ValueError:
        raise ValueError(f"Invalid ip address: {bare}") from None
    return bare
