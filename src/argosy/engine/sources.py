"""Making what a new container mounts: volumes, and directories of the host."""

import os

from argosy.engine.core import Engine
from argosy.engine.mounts import Planned
from argosy.errors import InvalidParameter
from argosy.linux.private import make_readable
from argosy.spec.docker_container import MountPoint

_SHARED = ("shared", "rshared")
_SLAVE = ("slave", "rslave")


def make(engine: Engine, planned: list[Planned]) -> tuple[list[MountPoint], list[str]]:
    """The mount points with their volumes made, and the names of the anonymous ones among these."""
    points: list[MountPoint] = []
    anonymous: list[str] = []
    for item in planned:
        point = item.point
        if item.volume is not None:
            volume, created = engine.volumes.create(item.volume, item.labels, item.options)
            point.name, point.source = volume.name, volume.path
            if created:
                engine.loop.call_soon_threadsafe(
                    engine.events.publish, "volume", "create", volume.name, {"driver": "local"}
                )
            if not item.volume:
                anonymous.append(volume.name)
        elif item.create_source:
            try:
                make_readable(point.source)
            except FileExistsError:
                pass
            except OSError as error:
                raise InvalidParameter(
                    f"error while creating mount source path '{point.source}': {error.strerror}"
                ) from None
        if point.type == "bind" and point.propagation in _SHARED + _SLAVE:
            _check_propagation(point)
        points.append(point)
    return points, anonymous


def _check_propagation(point: MountPoint) -> None:
    """Mounts travel only from or to a mount that is shared on the host (mount_namespaces(7))."""
    place, optional = _mount_of(os.path.realpath(point.source))
    if any(field.startswith("shared:") for field in optional):
        return
    if point.propagation in _SLAVE and any(field.startswith("master:") for field in optional):
        return
    kind = "a shared" if point.propagation in _SHARED else "a shared or slave"
    raise InvalidParameter(
        f"path {point.source} is mounted on {place} but it is not {kind} mount",
        hint=f"Make it one: mount --make-rshared {place}",
    )


def _mount_of(path: str) -> tuple[str, list[str]]:
    """The mount point that holds `path`, and its optional fields (proc_pid_mountinfo(5))."""
    best, fields = "", [""]
    with open("/proc/self/mountinfo") as file:
        for line in file:
            words = line.partition(" - ")[0].split()
            place = words[4]
            if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(best):
                best, fields = place, words[6:]
    return best, fields
