"""`--network` and the options that describe the first network's endpoint."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from argosy.cli.flags import Options

_NOT_USER_DEFINED = ("default", "bridge", "host", "none")

# Option → (the endpoint's key here, what Docker calls the same thing when given with the network)
_OF_THE_FIRST = (
    ("network-alias", "Aliases", "per-network alias"),
    ("link", "Links", "per-network links"),
    ("ip", "IPv4Address", "per-network IPv4 address"),
    ("ip6", "IPv6Address", "per-network IPv6 address"),
    ("mac-address", "MacAddress", "per-network MAC address"),
    ("link-local-ip", "LinkLocalIPs", "per-network link-local IP addresses"),
)


def is_user_defined(name: str) -> bool:
    return name not in _NOT_USER_DEFINED and not name.startswith("container:")


def parse_network(text: str) -> dict[str, Any]:
    """`name`, or `name=…,alias=…,ip=…` → what is said of one network."""
    if "=" not in text:
        return {"Target": text}
    from argosy.cli.values import split_fields

    network: dict[str, Any] = {"Target": ""}
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        if not equals or not key:
            raise ValueError(f"invalid field {field}")
        key, value = key.strip().lower(), value.strip()
        if key == "name":
            network["Target"] = value
        elif key == "alias":
            network.setdefault("Aliases", []).append(value)
        elif key == "driver-opt":
            name, separator, setting = value.partition("=")
            if not separator:
                raise ValueError("invalid key value pair format in driver options")
            network.setdefault("DriverOpts", {})[name.strip().lower()] = setting.strip()
        elif key == "ip":
            network["IPv4Address"] = value
        elif key == "ip6":
            network["IPv6Address"] = value
        elif key == "link-local-ip":
            network.setdefault("LinkLocalIPs", []).append(value)
        elif key == "mac-address":
            check_mac(value)
            network["MacAddress"] = value
        elif key == "gw-priority":
            from argosy.cli.values import parse_int

            try:
                network["GwPriority"] = parse_int(value)
            except ValueError:
                raise ValueError(f"invalid gw-priority ({value}): invalid syntax") from None
        else:
            raise ValueError(f"invalid field key {key}")
    if not network["Target"]:
        raise ValueError("network name/id is not specified")
    return network


def check_mac(text: str) -> None:
    groups = text.replace("-", ":").split(":")
    valid = len(groups) in (6, 8, 20) and all(
        len(group) == 2 and all(sign in "0123456789abcdefABCDEF" for sign in group) for group in groups
    )
    if not valid:
        raise ValueError(f"{text} is not a valid mac address")


def endpoints(networks: list[dict[str, Any]], options: Options) -> tuple[str, dict[str, Any]]:
    """The network mode and `EndpointsConfig`. Raises ValueError with Docker's text."""
    stated = bool(networks)
    networks = [dict(network) for network in networks] or [{"Target": "default"}]
    _apply_options(networks[0], options)
    config: dict[str, Any] = {}
    kinds = set()
    for network in networks:
        name = network["Target"]
        if not name:
            raise ValueError("no name set for network")
        if name in config:
            raise ValueError(f'network "{name}" is specified multiple times')
        if not is_user_defined(name) and (network.get("Aliases") or network.get("Links")):
            what = "aliases" if network.get("Aliases") else "links"
            raise ValueError(f"network-scoped {what} are only supported for user-defined networks")
        kinds.add(is_user_defined(name))
        config[name] = _endpoint(network)
    if len(kinds) > 1:
        raise ValueError(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
        )
    mode = networks[0]["Target"]
    if stated and len(networks) == 1 and not is_user_defined(mode) and networks[0].keys() == {"Target"}:
        config = {}
    return mode, config


def _apply_options(network: dict[str, Any], options: Options) -> None:
    for option, key, described in _OF_THE_FIRST:
        repeated = key in ("Aliases", "Links", "LinkLocalIPs")
        value: Any = options.many(option) if repeated else options.text(option)
        if not value or (option == "link" and not is_user_defined(network["Target"])):
            continue
        if network.get(key):
            raise ValueError(f"conflicting options: cannot specify both --{option} and {described}")
        if option == "mac-address":
            check_mac(value)
        network[key] = value


def _endpoint(network: dict[str, Any]) -> dict[str, Any]:
    addresses = {
        key: network[key] for key in ("IPv4Address", "IPv6Address", "LinkLocalIPs") if network.get(key)
    }
    return {
        "IPAMConfig": addresses or None,
        "Links": network.get("Links"),
        "Aliases": network.get("Aliases"),
        "MacAddress": network.get("MacAddress", ""),
        "DriverOpts": network.get("DriverOpts"),
        "GwPriority": network.get("GwPriority", 0),
    }
