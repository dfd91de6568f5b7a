"""Subnets of `network create`, each with the gateway, range and addresses that lie in it."""

from __future__ import annotations

import ipaddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def pool_configs(
    subnets: list[str], gateways: list[str], ranges: list[str], auxiliary: dict[str, str]
) -> list[dict[str, Any]]:
    """The API's `IPAM.Config`. Raises ValueError with Docker's text."""
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise ValueError("every ip-range or gateway must have a corresponding subnet")
    pools: dict[str, tuple[Network, dict[str, Any]]] = {}
    for text in subnets:
        subnet = _network(text)
        if any(subnet.overlaps(other) for other, _ in pools.values() if other.version == subnet.version):
            raise ValueError("multiple overlapping subnet configuration is not supported")
        pools[text] = (subnet, {"Subnet": text})
    for text in ranges:
        span = _network(text)
        pool = _pool_of(pools, span.network_address)
        if pool is None or span.prefixlen < pool[0].prefixlen:
            raise ValueError(f"no matching subnet for range {text}")
        _once(pool[1], "IPRange", text, "ip-range")
    for text in gateways:
        pool = _pool_of(pools, _address(text))
        if pool is None:
            raise ValueError(f"no matching subnet for gateway {text}")
        _once(pool[1], "Gateway", text, "gateway")
    for name, text in auxiliary.items():
        pool = _pool_of(pools, _address(text))
        if pool is None:
            raise ValueError(f"no matching subnet for aux-address {text}")
        pool[1].setdefault("AuxiliaryAddresses", {})[name] = text
    return [config for _, config in pools.values()]


def _once(config: dict[str, Any], key: str, text: str, what: str) -> None:
    if key in config:
        article = "ranges" if key == "IPRange" else "gateways"
        raise ValueError(
            f"cannot configure multiple {article} ({text}, {config[key]})"
            f" on the same subnet ({config['Subnet']})"
        )
    config[key] = text


def _pool_of(
    pools: dict[str, tuple[Network, dict[str, Any]]], address: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> tuple[Network, dict[str, Any]] | None:
    return next((pool for pool in pools.values() if address in pool[0]), None)


def _network(text: str) -> Network:
    try:
        if "/" not in text:
            raise ValueError
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"invalid CIDR address: {text}") from None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"invalid IP address: {text}") from None
