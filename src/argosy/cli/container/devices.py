"""`--device`, `--gpus` and the limits of block devices."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALL = "rwm"
_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")
_BPS = " The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer."
_IOPS = " The correct format is <device-path>:<number>. Number must be a positive integer"
_HEAVIEST, _LIGHTEST = 1000, 10


def parse_devices(specs: list[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Device nodes, and names of the Container Device Interface (`vendor/class=name`)."""
    nodes, interfaces = [], []
    for spec in specs:
        if _is_interface(spec):
            interfaces.append(spec)
        else:
            nodes.append(_node(spec))
    return nodes, interfaces


def _is_interface(spec: str) -> bool:
    kind, equals, name = spec.partition("=")
    vendor, slash, group = kind.partition("/")
    return bool(equals and slash and vendor and group and name) and not spec.startswith("/")


def _node(spec: str) -> dict[str, str]:
    parts = spec.split(":")
    source = parts[0]
    target, permissions = source, _ALL
    if len(parts) > 3 or not source:
        raise ValueError(f"bad format for path: {spec}")
    if len(parts) == 3:
        target, permissions = parts[1], parts[2]
        if not _is_mode(permissions):
            raise ValueError(f"bad mode specified: {permissions}")
    elif len(parts) == 2:
        if _is_mode(parts[1]):
            permissions = parts[1]
        else:
            target = parts[1]
    for path in (source, target):
        if not path.startswith("/"):
            raise ValueError(f"{path} is not an absolute path")
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": permissions}


def _is_mode(text: str) -> bool:
    return bool(text) and all(letter in _ALL for letter in text) and len(set(text)) == len(text)


def parse_rule(text: str) -> str:
    if not _RULE.fullmatch(text):
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def parse_gpus(text: str) -> dict[str, Any]:
    """`all`, a count, or `device=…,capabilities=…,driver=…`."""
    from argosy.cli.values import split_fields

    if not text:
        raise ValueError("EOF")
    request: dict[str, Any] = {
        "Driver": "",
        "Count": 0,
        "DeviceIDs": None,
        "Capabilities": [["gpu"]],
        "Options": {},
    }
    counted = False
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", field
        if key == "count":
            counted = True
            request["Count"] = -1 if value == "all" else _count(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "driver":
            request["Driver"] = value
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif key == "options":
            request["Options"] = dict(pair.partition("=")[::2] for pair in value.split(","))
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    if request["DeviceIDs"] is None and not counted:
        request["Count"] = 1
    return request


def _count(text: str) -> int:
    from argosy.cli.values import parse_int

    try:
        return parse_int(text)
    except ValueError:
        reason = 'value must be either "all" or an integer: invalid syntax'
        raise ValueError(f"invalid count ({text}): {reason}") from None


def parse_weight(spec: str) -> dict[str, Any]:
    path, value = _pair(spec)
    weight = int(value) if value.isdigit() else -1
    if weight and not _LIGHTEST <= weight <= _HEAVIEST:
        raise ValueError(f"invalid weight for device: {spec}")
    return {"Path": path, "Weight": weight}


def parse_bps(spec: str) -> dict[str, Any]:
    from argosy.cli.values import parse_size

    path, value = _pair(spec)
    try:
        return {"Path": path, "Rate": parse_size(value)}
    except ValueError:
        units = " Unit is optional and can be kb, mb, or gb"
        raise ValueError(f"invalid rate for device: {spec}.{_BPS}{units}") from None


def parse_iops(spec: str) -> dict[str, Any]:
    path, value = _pair(spec)
    if not value.isdigit():
        raise ValueError(f"invalid rate for device: {spec}.{_IOPS}")
    return {"Path": path, "Rate": int(value)}


def _pair(spec: str) -> tuple[str, str]:
    path, colon, value = spec.partition(":")
    if not colon or not path:
        raise ValueError(f"bad format: {spec}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {spec}")
    return path, value
