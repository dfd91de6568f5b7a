"""Devices of the host that a container may use, and how fast it may use its disks."""

import os
import stat
from typing import Any

from argosy.errors import InvalidParameter
from argosy.spec.docker_container import HostConfig
from argosy.spec.oci_runtime import Device

_ANY = -1
_DEFAULT_DEVICE_RULES: tuple[tuple[str, int, int, str], ...] = (
    ("c", _ANY, _ANY, "m"),
    ("b", _ANY, _ANY, "m"),
    ("c", 1, 3, "rwm"),
    ("c", 1, 5, "rwm"),
    ("c", 1, 7, "rwm"),
    ("c", 1, 8, "rwm"),
    ("c", 1, 9, "rwm"),
    ("c", 5, 0, "rwm"),
    ("c", 5, 1, "rwm"),
    ("c", 5, 2, "rwm"),
    ("c", 136, _ANY, "rwm"),
    ("c", 10, 200, "rwm"),
)


def throttle(item: dict[str, Any]) -> dict[str, int]:
    path = str(item.get("Path") or "")
    try:
        status = os.stat(path)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise InvalidParameter(f"stat {path}: {reason}") from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidParameter(f"{path} is no block device")
    device = status.st_rdev
    return {"major": os.major(device), "minor": os.minor(device), "rate": int(item.get("Rate") or 0)}


def rules(host: HostConfig) -> list[dict[str, Any]]:
    if host.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in _DEFAULT_DEVICE_RULES:
        rules.append({"allow": True, "type": kind, "major": major, "minor": minor, "access": access})
    for device, access in _asked_devices(host):
        rules.append(
            {
                "allow": True,
                "type": device["type"],
                "major": device["major"],
                "minor": device["minor"],
                "access": access,
            }
        )
    for text in host.device_cgroup_rules or []:
        rules.append(_parse_rule(text))
    return rules


def check_rules(host: HostConfig) -> None:
    """Raises InvalidParameter. The devices themselves need not be there before the container starts."""
    for text in host.device_cgroup_rules or []:
        _parse_rule(text)


def check_requests(host: HostConfig) -> None:
    """No driver here has anything to give. Raises InvalidParameter."""
    for request in host.device_requests or []:
        driver = request.get("Driver") or ""
        shown = " ".join(f"[{' '.join(group)}]" for group in request.get("Capabilities") or [])
        raise InvalidParameter(f'could not select device driver "{driver}" with capabilities: [{shown}]')


def _parse_rule(text: str) -> dict[str, Any]:
    try:
        kind, numbers, access = text.split()
        if kind not in ("a", "b", "c") or not set(access) <= set("rwm"):
            raise ValueError(text)
        major, _, minor = numbers.partition(":")
        return {
            "allow": True,
            "type": kind,
            "major": _ANY if major == "*" else int(major),
            "minor": _ANY if minor == "*" else int(minor),
            "access": access,
        }
    except ValueError:
        raise InvalidParameter(f"invalid device cgroup rule format: '{text}'") from None


def _asked_devices(host: HostConfig) -> list[tuple[Device, str]]:
    found = []
    for mapping in host.devices or []:
        target = mapping.path_in_container or mapping.path_on_host
        found.append((_device(mapping.path_on_host, target), mapping.cgroup_permissions or "rwm"))
    return found


def _device(source: str, target: str) -> Device:
    try:
        status = os.stat(source)
    except OSError as error:
        raise InvalidParameter(
            f'error gathering device information while adding custom device "{source}": '
            f"{os.strerror(error.errno or 0).lower()}"
        ) from None
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        raise InvalidParameter(
            f'error gathering device information while adding custom device "{source}": not a device node'
        )
    return {
        "path": target,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def nodes(host: HostConfig) -> list[Device]:
    found = [device for device, _ in _asked_devices(host)]
    if host.privileged:
        found += _host_devices("/dev")
    return found


def _host_devices(directory: str) -> list[Device]:
    """Every device of the host, what the container has of its own left out."""
    own = {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/fd", "/dev/console", "/dev/ptmx", "/dev/.udev"}
    found: list[Device] = []
    for entry in os.scandir(directory):
        if entry.path in own or entry.is_symlink():
            continue
        if entry.is_dir():
            found += _host_devices(entry.path)
        elif not entry.is_file():
            try:
                found.append(_device(entry.path, entry.path))
            except InvalidParameter:
                # A socket or a FIFO, or a device that has just gone.
                continue
    return found
