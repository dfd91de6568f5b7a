"""Choosing the snapshotter: by trying what the kernel can do, or as told."""

import os
import tempfile
import threading
from dataclasses import dataclass

from argosy.errors import InvalidParameter
from argosy.image.content import ContentStore
from argosy.image.erofs import ErofsSnapshotter, Holder
from argosy.image.erofs_holder import DetachedLayers, LoopLayers
from argosy.image.erofs_write import write_index
from argosy.image.layer_tree import Directory
from argosy.image.overlay import OverlaySnapshotter
from argosy.image.snapshot import Mount, Snapshotter
from argosy.linux import mount
from argosy.linux.namespaces import CLONE_NEWNS, unshare
from argosy.linux.remove_tree import remove_tree

EROFS, OVERLAY = "erofs", "overlay"
_NAMES = {EROFS: EROFS, OVERLAY: OVERLAY, "overlay2": OVERLAY}


@dataclass(frozen=True, slots=True)
class Choice:
    """`reason` is for people."""

    snapshotter: Snapshotter
    reason: str


def choose_snapshotter(root: str, content: ContentStore, wanted: str = "") -> Choice:
    """`wanted` is a driver's name, or "" for the best. Raises InvalidParameter if it cannot be had."""
    if wanted and wanted not in _NAMES:
        raise InvalidParameter(
            f"unknown storage driver {wanted!r}", hint=f"There are {EROFS} and {OVERLAY} (also: overlay2)."
        )
    if _NAMES.get(wanted) == OVERLAY:
        return Choice(OverlaySnapshotter(root), "asked for by --storage-driver")
    # The store's own file system counts: files of some, tmpfs among them, cannot be devices.
    trash = os.path.join(root, "snapshots", "trash")
    os.makedirs(trash, mode=0o700, exist_ok=True)
    failures = []
    for make, how in ((DetachedLayers, "files as devices"), (LoopLayers, "loop devices")):
        failure = _try(make(), trash)
        if failure is None:
            chosen = "asked for by --storage-driver" if wanted else "the kernel can"
            return Choice(ErofsSnapshotter(root, content, make()), f"{chosen}, with {how}")
        failures.append(f"{how}: {failure}")
    reason = "the kernel cannot mount what erofs needs: " + "; ".join(failures)
    if wanted:
        raise InvalidParameter(
            f"the storage driver {EROFS} cannot be used: {reason}",
            hint=f"Linux 6.4 and up can. Until then: --storage-driver {OVERLAY}",
        )
    return Choice(OverlaySnapshotter(root), reason)


def remove_leftovers(root: str, snapshotter: Snapshotter) -> None:
    """What the other driver left when this one was chosen in its place. Not while a container runs that
    was started with it: its root may be made of just that."""
    names: tuple[str, ...] = ("snapshots/erofs",)
    if snapshotter.driver == EROFS:
        names = ("snapshots/committed", "snapshots/staging", "l")
    for name in names:
        path = os.path.join(root, name)
        if os.path.isdir(path):
            remove_tree(path)


def _try(holder: Holder, place: str) -> str | None:
    """Mount an empty layer from `place` below an overlay as a container would. None, or what went wrong.

    In a thread with a mount namespace of its own, which goes with it.
    """
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="probe-", dir=place) as directory:
        thread = threading.Thread(target=_probe, args=(holder, directory, failures))
        thread.start()
        thread.join()
        holder.close()
    return failures[0] if failures else None


def _probe(holder: Holder, directory: str, failures: list[str]) -> None:
    try:
        index = os.path.join(directory, "index")
        tar = os.path.join(directory, "tar")
        target = os.path.join(directory, "target")
        empty = os.path.join(directory, "empty")
        with open(index, "wb") as file:
            file.write(write_index(Directory(0o40755, 0, 0, 0), [1024], lambda *_: b"").head)
        with open(tar, "wb") as file:
            file.write(bytes(1024))
        os.mkdir(target)
        os.mkdir(empty)
        unshare(CLONE_NEWNS)
        mount.mount("", "/", flags=mount.MS_REC | mount.MS_PRIVATE)
        lower = holder.lower("probe", index, [tar])
        first = [lower] if isinstance(lower, Mount) else []
        names = f"{'%0' if first else lower}:{empty}"
        steps = [*first, Mount("overlay", "overlay", (f"lowerdir={names}", "ro"))]
        mount.mount_stack([(step.type, step.source, step.options) for step in steps], target)
        os.listdir(target)
    except OSError as error:
        failures.append(error.strerror or str(error))
