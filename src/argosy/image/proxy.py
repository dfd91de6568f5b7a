"""Which proxy leads to a host: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, read as Go's programs read them.

NO_PROXY is a list with commas: `*`, a host or a domain with everything below it, `.domain` for what is
below alone, an address, a network, each but the last with a port if it is to count for that only. The
loopback is never asked for through a proxy.
"""

import ipaddress
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

_DEFAULT_PORTS = {"http": 80, "https": 443}


def proxy_for(url: str) -> str:
    """The proxy's URL; empty to go straight."""
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme, "")
    host = (parts.hostname or "").rstrip(".")
    if not proxy or is_loopback(host):
        return ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    if any(_excludes(entry.strip().lower(), host, port) for entry in proxies.get("no", "").split(",")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def credentials_of(proxy: str) -> str:
    """`user:password` of a proxy's URL, or empty."""
    parts = urlsplit(proxy)
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _excludes(entry: str, host: str, port: int) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    entry, entry_port = _split_port(entry)
    if entry_port and entry_port != port:
        return False
    if address is not None:
        return _address(entry) == address
    if entry.startswith("*."):
        entry = entry[1:]
    if entry.startswith("."):
        return host.endswith(entry)
    return host == entry or host.endswith(f".{entry}")


def _split_port(entry: str) -> tuple[str, int]:
    if _address(entry) is not None:
        return entry, 0
    host, colon, port = entry.rpartition(":")
    if not colon or not port.isdigit():
        return entry.strip("[]"), 0
    return host.strip("[]"), int(port)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
