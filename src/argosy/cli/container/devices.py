"""`--device`, `--gpus` and the limits of block devices."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALL = "rwm"


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
        raise ValueError(f"invalid device specification: {spec}")
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


def parse_gpus(text: str) -> dict[str, Any]:
    """`all`, a count, or `device=…,capabilities=…,driver=…`."""
    from argosy.cli.values import split_fields

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
    if not text.isdigit():
        raise ValueError(f'invalid count ({text}): value must be either "all" or an integer')
    return int(text)


def parse_weight(spec: str) -> dict[str, Any]:
    (_, path, value), *_ = _pairs([spec])
    return {"Path": path, "Weight": _positive(value, spec)}


def parse_rates(specs: list[str], *, sizes: bool) -> list[dict[str, Any]]:
    from argosy.cli.values import parse_size

    result = []
    for spec, path, value in _pairs(specs):
        try:
            rate = parse_size(value) if sizes else _positive(value, spec)
        except ValueError:
            raise ValueError(f"invalid rate for device: {spec}") from None
        result.append({"Path": path, "Rate": rate})
    return result


def _pairs(specs: list[str]) -> list[tuple[str, str, str]]:
    result = []
    for spec in specs:
        path, colon, value = spec.partition(":")
        if not colon or not path:
            raise ValueError(f"bad format: {spec}")
        if not path.startswith("/dev/"):
            raise ValueError(f"bad format for device path: {spec}")
        result.append((spec, path, value))
    return result


def _positive(text: str, spec: str) -> int:
    if not text.isdigit():
        raise ValueError(f"invalid weight for device: {spec}")
    return int(text)
