"""Keeping EROFS layers at hand, in one of the two ways that a kernel may know.

From Linux 6.15 on, a file system that is mounted nowhere can be an overlay's lower layer in any mount
namespace: each layer is one such mount, its index and tars being files, and every container's overlay
names it by our own descriptor of it. Before, they are loop devices, whose mounts share what they cache,
and each container mounts them for itself below its overlay.
"""

import contextlib
import os

from argosy.image.snapshot import Mount
from argosy.linux.loop import open_loop
from argosy.linux.new_mount import MOUNT_ATTR_RDONLY, open_filesystem


class DetachedLayers:
    """A mount for each layer, held by a descriptor. Not thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._pid = os.getpid()

    def lower(self, key: str, index: str, tars: list[str]) -> str:
        descriptor = self._held.get(key)
        if descriptor is None:
            descriptor = self._held[key] = _mount_detached(index, tars)
        return f"/proc/{self._pid}/fd/{descriptor}"

    def release(self, key: str) -> None:
        descriptor = self._held.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        for key in list(self._held):
            self.release(key)


class LoopLayers:
    """Loop devices for each layer, which go with the last who uses them. Not thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, list[tuple[int, str]]] = {}

    def lower(self, key: str, index: str, tars: list[str]) -> Mount:
        devices = self._held.get(key)
        if devices is None:
            devices = self._held[key] = [open_loop(path) for path in (index, *tars)]
        source, *others = [path for _, path in devices]
        return Mount("erofs", source, ("ro", *(f"device={path}" for path in others)))

    def release(self, key: str) -> None:
        for descriptor, _ in self._held.pop(key, []):
            os.close(descriptor)

    def close(self) -> None:
        for key in list(self._held):
            self.release(key)


def _mount_detached(index: str, tars: list[str]) -> int:
    """Files are named by descriptors: what fsconfig(2) takes is at most 255 bytes long."""
    with contextlib.ExitStack() as stack:
        names = []
        for path in (index, *tars):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            names.append(f"/proc/self/fd/{descriptor}")
        options = [("ro", ""), ("source", names[0]), *(("device", name) for name in names[1:])]
        return open_filesystem("erofs", options, MOUNT_ATTR_RDONLY)
