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
from argosy.spec.docker_container import (
    ContainerConfig,
    DriverConfig,
    HostConfig,
    MountPoint,
    MountSpec,
    VolumeOptions,
)

_PROPAGATIONS = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
_COPY = {"nocopy"}
_LABELS = {"z", "Z"}
_CONSISTENCY = {"consistent", "cached", "delegated"}
# What mount(8) knows for every file system, and tmpfs(5) besides.
_TMPFS_OPTIONS = frozenset(
    (
        "defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync remount mand nomand atime "
        "noatime diratime nodiratime bind rbind unbindable runbindable private rprivate shared rshared slave "
        "rslave "
        "relatime norelatime strictatime nostrictatime mode uid gid nr_inodes nr_blocks size mpol"
    ).split()
)


class Planned(NamedTuple):
    """`create_source`: a host directory that is made when it is missing. `volume`: name, "" for anonymous.
    `options`: the volume driver's. `image`: the reference of an image that is mounted."""

    point: MountPoint
    volume: str | None = None
    labels: dict[str, str] = {}
    copy_up: bool = False
    create_source: bool = False
    options: dict[str, str] | None = None
    image: str = ""


def plan(
    config: ContainerConfig,
    host: HostConfig,
    image_volumes: list[str],
    inherited: Iterable[MountPoint] = (),
) -> list[Planned]:
    """`inherited` are other containers', and give way. Raises InvalidParameter in Docker's words."""
    tmpfs = set(tmpfs_mounts(host))
    planned = {each.destination: _inherited(each) for each in inherited if each.destination not in tmpfs}
    own = {_clean(target) for target in host.tmpfs or {}}

    def claim(target: str) -> str:
        if target in own:
            raise InvalidParameter(f"Duplicate mount point: {target}")
        own.add(target)
        return target

    def add(item: Planned) -> None:
        planned[claim(item.point.destination)] = item

    for text in host.binds or []:
        item = parse_bind(text)
        if item.volume is not None:
            check_driver(host.volume_driver, item.volume)
        add(item)
    mounts = host.mounts if isinstance(host.mounts, list) else []
    for spec in mounts:
        if spec.type == "tmpfs":
            claim(_clean(spec.target))
        else:
            add(_from_spec(spec))
    for target in [*(config.volumes or {}), *image_volumes]:
        target = _clean(target)
        _check_target(target)
        if target not in planned and target not in tmpfs:
            planned[target] = _anonymous(target)
    return list(planned.values())


def tmpfs_mounts(host: HostConfig) -> dict[str, str]:
    """Target → options, of --tmpfs and of --mount type=tmpfs."""
    found = {}
    for target, text in (host.tmpfs or {}).items():
        _check_target(target)
        found[_clean(target)] = _tmpfs_options(text)
    for spec in host.mounts if isinstance(host.mounts, list) else []:
        if spec.type == "tmpfs":
            if spec.source:
                raise InvalidParameter(f"{_problem(spec)}: field Source must not be specified")
            options = ["ro"] if spec.read_only else []
            if spec.tmpfs_options and spec.tmpfs_options.size_bytes:
                options.append(f"size={spec.tmpfs_options.size_bytes}")
            if spec.tmpfs_options and spec.tmpfs_options.mode:
                options.append(f"mode={spec.tmpfs_options.mode:o}")
            found[_spec_target(spec)] = ",".join(options)
    return found


def _tmpfs_options(text: str) -> str:
    for option in text.split(",") if text else []:
        if option.partition("=")[0] not in _TMPFS_OPTIONS:
            raise InvalidParameter(f'invalid tmpfs option "{option}"')
    return text


def subpaths(host: HostConfig) -> dict[str, str]:
    """Target → what of the volume or the image is mounted there, where that is not the whole."""
    found = {}
    for spec in host.mounts if isinstance(host.mounts, list) else []:
        options = spec.image_options if spec.type == "image" else spec.volume_options
        if options and options.subpath:
            found[_clean(spec.target)] = options.subpath
    return found


def recursion(host: HostConfig) -> dict[str, tuple[str, str]]:
    """Target → how it is bound and how made read-only, where --mount's bind-recursive says it."""
    found = {}
    for spec in host.mounts if isinstance(host.mounts, list) else []:
        options = spec.bind_options
        if options is not None and spec.type == "bind":
            bind = "bind" if options.non_recursive else "rbind"
            readonly = "ro"
            if options.read_only_force_recursive:
                readonly = "rro"
            elif options.read_only_non_recursive:
                readonly = "nro"
            found[_clean(spec.target)] = bind, readonly
    return found


def parse_bind(text: str) -> Planned:
    """`source:target[:options]`, as in HostConfig.Binds; a bare target is an anonymous volume."""
    parts = text.split(":")
    if len(parts) == 1:
        return _anonymous(_bind_target(parts[0], text, "volume"))
    if len(parts) > 3 or not parts[0]:
        raise InvalidParameter(f"invalid volume specification: '{text}'")
    source = parts[0]
    target = _bind_target(parts[1], text, "bind" if source.startswith("/") else "volume")
    mode = parts[2] if len(parts) == 3 else ""
    words = [word for word in mode.split(",") if word]
    propagation = ""
    for word in words:
        if word in _PROPAGATIONS:
            propagation = word
        elif word not in {"ro", "rw"} | _COPY | _LABELS | _CONSISTENCY:
            raise InvalidParameter(f"invalid mode: {mode}")
    if {"ro", "rw"} <= set(words):
        raise InvalidParameter(f"invalid mode: {mode}")
    writable = "ro" not in words
    if source.startswith("/"):
        if "nocopy" in words:
            raise InvalidParameter(_of_the_other_kind(text, "bind", "VolumeOptions"))
        point = MountPoint(
            "bind", _clean(source), target, mode=mode, rw=writable, propagation=propagation or "rprivate"
        )
        return Planned(point, create_source=True)
    if propagation:
        raise InvalidParameter(_of_the_other_kind(text, "volume", "BindOptions"))
    point = MountPoint(
        "volume", "", target, mode=mode or "z", rw=writable, propagation="", name=source, driver="local"
    )
    return Planned(point, volume=source, copy_up="nocopy" not in words)


def _of_the_other_kind(text: str, kind: str, field: str) -> str:
    problem = f'invalid mount config for type "{kind}": field {field} must not be specified'
    return f"invalid volume specification: '{text}': {problem}"


def _problem(spec: MountSpec) -> str:
    return f'invalid mount config for type "{spec.type}"'


def _from_spec(spec: MountSpec) -> Planned:
    maker = {"bind": _bind, "volume": _volume, "image": _image}.get(spec.type)
    if maker is None:
        raise InvalidParameter(f"{_problem(spec)}: mount type unknown")
    return maker(spec, _spec_target(spec))


def _spec_target(spec: MountSpec) -> str:
    if not spec.target:
        raise InvalidParameter(f"{_problem(spec)}: field Target must not be empty")
    return _target(spec.target, spec.type)


def _bind(spec: MountSpec, target: str) -> Planned:
    if not spec.source:
        raise InvalidParameter(f"{_problem(spec)}: field Source must not be empty")
    _require_absolute(spec.source, f"{_problem(spec)}: ")
    options = spec.bind_options
    propagation = (options.propagation if options else "") or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise InvalidParameter(f"{_problem(spec)}: invalid propagation mode: {propagation}")
    if not (options and options.create_mountpoint) and not os.path.exists(spec.source):
        raise InvalidParameter(f"{_problem(spec)}: bind source path does not exist: {spec.source}")
    point = MountPoint("bind", _clean(spec.source), target, rw=not spec.read_only, propagation=propagation)
    return Planned(point, create_source=bool(options and options.create_mountpoint))


def _volume(spec: MountSpec, target: str) -> Planned:
    if spec.read_only and not spec.source:
        raise InvalidParameter(f"{_problem(spec)}: must not set ReadOnly mode when using anonymous volumes")
    wanted = spec.volume_options or VolumeOptions()
    _check_subpath(spec, wanted.subpath)
    driver = wanted.driver_config or DriverConfig()
    check_driver(driver.name, spec.source)
    point = MountPoint(
        "volume", "", target, mode="z", rw=not spec.read_only, name=spec.source or UNSET, driver="local"
    )
    return Planned(
        point,
        spec.source,
        wanted.labels or {},
        copy_up=not wanted.no_copy and not wanted.subpath,
        options=driver.options,
    )


def _image(spec: MountSpec, target: str) -> Planned:
    if not spec.source:
        raise InvalidParameter(f"{_problem(spec)}: field Source must not be empty")
    _check_subpath(spec, spec.image_options.subpath if spec.image_options else "")
    point = MountPoint("image", "", target, rw=False, propagation="rprivate", name=spec.source)
    return Planned(point, image=spec.source)


def _check_subpath(spec: MountSpec, subpath: str) -> None:
    if subpath.startswith("/") or posixpath.normpath(subpath or ".").partition("/")[0] == "..":
        raise InvalidParameter(f"{_problem(spec)}: subpath must be a relative path within the volume")


def check_driver(name: str, volume: str) -> None:
    """Raises InvalidParameter."""
    if name not in ("", "local"):
        raise InvalidParameter(
            f'create {volume}: error looking up volume plugin {name}: plugin "{name}" not found',
            hint="The only volume driver here is local.",
        )


def check_borrowing(mode: str) -> None:
    """Of --volumes-from. Raises InvalidParameter."""
    if mode and not set(mode.split(",")) <= {"ro", "rw"} | _LABELS:
        raise InvalidParameter(f"invalid mode: {mode}")


def borrowed(points: Iterable[MountPoint], mode: str) -> list[MountPoint]:
    """What --volumes-from takes of another container's mounts."""
    readonly = "ro" in mode.split(",")
    return [msgspec.structs.replace(point, rw=point.rw and not readonly) for point in points]


def _inherited(point: MountPoint) -> Planned:
    return Planned(msgspec.structs.replace(point), volume=point.name or None)


def _anonymous(target: str) -> Planned:
    return Planned(MountPoint("volume", "", target, mode="", driver="local"), volume="", copy_up=True)


def _bind_target(path: str, text: str, kind: str) -> str:
    try:
        return _target(path, kind)
    except InvalidParameter as error:
        raise InvalidParameter(f"invalid volume specification: '{text}': {error.message}") from None


def _target(path: str, kind: str) -> str:
    _check_target(path, f'invalid mount config for type "{kind}": ')
    return _clean(path)


def _check_target(path: str, problem: str = "") -> None:
    _require_absolute(path, problem)
    if _clean(path) == "/":
        raise InvalidParameter(f"{problem}invalid specification: destination can't be '/'")


def _require_absolute(path: str, problem: str = "") -> None:
    if not path.startswith("/"):
        raise InvalidParameter(f"{problem}invalid mount path: '{path}' mount path must be absolute")


def _clean(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))
