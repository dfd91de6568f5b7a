"""A container of the list, in the words that `ps` shows."""

from __future__ import annotations

import time

from argosy.units import format_bytes, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.client.docker import Document

_COMMAND_WIDTH = 20
_SHORT = 12
_MOUNT_WIDTH = 15


def row(item: Document, *, trunc: bool) -> Document:
    labels: dict[str, str] = item.get("Labels") or {}
    command = ellipsis(item.get("Command") or "", _COMMAND_WIDTH) if trunc else item.get("Command") or ""
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    created = int(item.get("Created") or 0)
    mounts = [mount.get("Name") or mount.get("Source") or "" for mount in item.get("Mounts") or ()]
    return {
        "ID": item["Id"][:_SHORT] if trunc else item["Id"],
        "Image": _image(item, trunc),
        "Command": quote(command),
        "CreatedAt": go_time(created),
        "RunningFor": f"{human_duration(time.time() - created)} ago",
        "Ports": displayable_ports(item.get("Ports") or []),
        "State": item.get("State", ""),
        "Status": item.get("Status", ""),
        "Size": _size(item),
        "Names": ",".join(_names(item, trunc)),
        "Labels": ",".join(f"{key}={value}" for key, value in labels.items()),
        "Label": lambda name: labels.get(name, ""),
        "LocalVolumes": str(sum(mount.get("Driver") == "local" for mount in item.get("Mounts") or ())),
        "Mounts": ",".join(ellipsis(mount, _MOUNT_WIDTH) if trunc else mount for mount in mounts),
        "Networks": ",".join(networks),
        "Platform": _platform(item),
    }


def _names(item: Document, trunc: bool) -> list[str]:
    names = [name.removeprefix("/") for name in item.get("Names") or ()]
    # Names with a slash are those that links gave; the container's own is the one without.
    return [name for name in names if "/" not in name][:1] if trunc and len(names) > 1 else names


def _image(item: Document, trunc: bool) -> str:
    image: str = item.get("Image") or ""
    if not image:
        return "<no image>"
    if not trunc:
        return image
    identifier = (item.get("ImageID") or "").removeprefix("sha256:")[:_SHORT]
    if image.removeprefix("sha256:")[:_SHORT] == identifier:
        return identifier
    return image.partition("@")[0]


def _size(item: Document) -> str:
    written = format_bytes(item.get("SizeRw") or 0, 3)
    virtual = item.get("SizeRootFs") or 0
    return f"{written} (virtual {format_bytes(virtual, 3)})" if virtual > 0 else written


def _platform(item: Document) -> str | None:
    platform = (item.get("ImageManifestDescriptor") or {}).get("platform")
    if not platform:
        return None
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    return "/".join(part for part in parts if part)


def go_time(seconds: int) -> str:
    """How Go prints a time: `2026-11-24 01:50:59 +0000 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(seconds))


def ellipsis(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def quote(text: str) -> str:
    """Go's strconv.Quote."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    special = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    special |= {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(special.get(sign) or _printable(sign) for sign in text) + '"'


def _printable(sign: str) -> str:
    if sign.isprintable():
        return sign
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def displayable_ports(ports: list[Document]) -> str:
    """Neighbouring ports as ranges; published ones on a port of another number stand at the end."""
    groups: dict[tuple[str, str], list[int]] = {}
    result = []
    mappings = []
    ordered = sorted(
        ports, key=lambda p: (p["PrivatePort"], p.get("IP") or "", p.get("PublicPort") or 0, p["Type"])
    )
    for port in ordered:
        current, address, protocol = port["PrivatePort"], port.get("IP") or "", port["Type"]
        if address and port.get("PublicPort") != current:
            mappings.append(f"{host_port(address, str(port.get('PublicPort') or 0))}->{current}/{protocol}")
            continue
        group = groups.get((address, protocol))
        if group is None:
            groups[address, protocol] = [current, current]
        elif current == group[1] + 1:
            group[1] = current
        else:
            result.append(_group(address, protocol, *group))
            groups[address, protocol] = [current, current]
    result += [_group(address, protocol, *group) for (address, protocol), group in groups.items()]
    return ", ".join(result + mappings)


def _group(address: str, protocol: str, first: int, last: int) -> str:
    span = str(first) if first == last else f"{first}-{last}"
    return f"{host_port(address, span)}->{span}/{protocol}" if address else f"{span}/{protocol}"


def host_port(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
