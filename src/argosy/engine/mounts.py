"""What a container has mounted besides its root: from --volume, --mount, --tmpfs and the image. Pure.

The result is a list of MountPoints, as inspect shows them, whose volumes are yet to be made.
"""

import os
import posixpath
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from argosy.errors import InvalidParameter
from argosy.spec.docker_container import ContainerConfig, HostConfig, MountPoint, MountSpec

_PROPAGATIONS = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
_COPY = {"nocopy"}
_LABELS = {"z", "Z"}
_CONSISTENCY = {"consistent", "cached", "delegated"}


class Planned(NamedTuple):
    """`create_source`: a host directory that is made when it is missing. `volume`: name, "" for anonymous."""

    point: MountPoint
    volume: str | None = None
    labels: dict[str, str] = {}
    copy_up: bool = False
    create_source: bool = False


def plan(
    config: ContainerConfig,
    host: HostConfig,
    image_volumes: list[str],
    inherited: Iterable[MountPoint] = (),
) -> list[Planned]:
    """`inherited` are other containers', and give way. Raises InvalidParameter in Docker's words."""
    tmpfs = set(tmpfs_mounts(host))
    planned = {each.destination: _inherited(each) for each in inherited if each.destination not in tmpfs}
    own: set[str] = set()

    def add(item: Planned) -> None:
        target = item.point.destination
        if target in own or target in tmpfs:
            raise InvalidParameter(f"Duplicate mount point: {target}")
        own.add(target)
        planned[target] = item

    for text in host.binds or []:
        add(parse_bind(text))
    mounts = host.mounts if isinstance(host.mounts, list) else []
    for spec in mounts:
        if spec.type != "tmpfs":
            add(_from_spec(spec))
    for target in [*(config.volumes or {}), *image_volumes]:
        target = _clean(target)
        if target not in planned and target not in tmpfs:
            planned[target] = _anonymous(target)
    return list(planned.values())


def tmpfs_mounts(host: HostConfig) -> dict[str, str]:
    """Target → options, of --tmpfs and of --mount type=tmpfs."""
    found = {_clean(target): options for target, options in (host.tmpfs or {}).items()}
    for spec in host.mounts if isinstance(host.mounts, list) else []:
        if spec.type == "tmpfs":
            options = ["ro"] if spec.read_only else []
            if spec.tmpfs_options and spec.tmpfs_options.size_bytes:
                options.append(f"size={spec.tmpfs_options.size_bytes}")
            if spec.tmpfs_options and spec.tmpfs_options.mode:
                options.append(f"mode={spec.tmpfs_options.mode:o}")
            found[_clean(spec.target)] = ",".join(options)
    return found


def parse_bind(text: str) -> Planned:
    """`source:target[:options]`, as in HostConfig.Binds; a bare target is an anonymous volume."""
    parts = text.split(":")
    if len(parts) == 1:
        return _anonymous(_target(parts[0], text))
    if len(parts) > 3 or not parts[0]:
        raise InvalidParameter(f"invalid volume specification: '{text}'")
    source, target = parts[0], _target(parts[1], text)
    mode = parts[2] if len(parts) == 3 else ""
    words = [word for word in mode.split(",") if word]
    propagation = ""
    for word in words:
        if word in _PROPAGATIONS:
            propagation = word
        elif word not in {"ro", "rw"} | _COPY | _LABELS | _CONSISTENCY:
            raise InvalidParameter(f"invalid volume specification: '{text}': invalid mode: {mode}")
    if {"ro", "rw"} <= set(words):
        raise InvalidParameter(f"invalid volume specification: '{text}': invalid mode: {mode}")
    writable = "ro" not in words
    if source.startswith("/"):
        point = MountPoint(
            "bind", _clean(source), target, mode=mode, rw=writable, propagation=propagation or "rprivate"
        )
        return Planned(point, create_source=True)
    if propagation:
        raise InvalidParameter(f"invalid volume specification: '{text}': invalid mode: {mode}")
    point = MountPoint(
        "volume", "", target, mode=mode or "z", rw=writable, propagation="", name=source, driver="local"
    )
    return Planned(point, volume=source, copy_up="nocopy" not in words)


def _from_spec(spec: MountSpec) -> Planned:
    problem = f"invalid mount config for type {spec.type!r}".replace("'", '"')
    if not spec.target:
        raise InvalidParameter(f"{problem}: field Target must not be empty")
    target = _target(spec.target, spec.target)
    if spec.type == "bind":
        if not spec.source:
            raise InvalidParameter(f"{problem}: field Source must not be empty")
        if not spec.source.startswith("/"):
            raise InvalidParameter(
                f"{problem}: invalid mount path: '{spec.source}' mount path must be absolute"
            )
        options = spec.bind_options
        if not (options and options.create_mountpoint) and not os.path.exists(spec.source):
            raise InvalidParameter(f"{problem}: bind source path does not exist: {spec.source}")
        propagation = (options.propagation if options else "") or "rprivate"
        point = MountPoint(
            "bind", _clean(spec.source), target, rw=not spec.read_only, propagation=propagation
        )
        return Planned(point, create_source=bool(options and options.create_mountpoint))
    if spec.type == "volume":
        options_ = spec.volume_options
        point = MountPoint(
            "volume", "", target, mode="z", rw=not spec.read_only, name=spec.source or UNSET, driver="local"
        )
        if options_ and options_.subpath:
            raise InvalidParameter(
                f"{problem}: a volume's subpath cannot be mounted yet",
                hint="Mount the whole volume, or the directory itself by --mount type=bind.",
            )
        labels = (options_.labels if options_ else None) or {}
        return Planned(point, spec.source, labels, copy_up=not (options_ and options_.no_copy))
    raise InvalidParameter(f"{problem}: mount type unknown")


def borrowed(points: Iterable[MountPoint], mode: str, text: str) -> list[MountPoint]:
    """What --volumes-from takes of another container's mounts. Raises InvalidParameter."""
    words = [word for word in mode.split(",") if word]
    if not set(words) <= {"ro", "rw"} | _LABELS:
        raise InvalidParameter(f"invalid volumes-from specification: '{text}': invalid mode: {mode}")
    readonly = "ro" in words
    return [msgspec.structs.replace(point, rw=point.rw and not readonly) for point in points]


def _inherited(point: MountPoint) -> Planned:
    return Planned(msgspec.structs.replace(point), volume=point.name or None)


def _anonymous(target: str) -> Planned:
    return Planned(MountPoint("volume", "", target, mode="", driver="local"), volume="", copy_up=True)


def _target(path: str, text: str) -> str:
    if not path.startswith("/"):
        raise InvalidParameter(
            f"invalid volume specification: '{text}': invalid mount config for type \"volume\": "
            f"invalid mount path: '{path}' mount path must be absolute"
        )
    if _clean(path) == "/":
        raise InvalidParameter(f"invalid volume specification: '{text}': destination can't be '/'")
    return _clean(path)


def _clean(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))
