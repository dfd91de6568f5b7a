"""The root file system of a stack of layers, to look into from the engine's own process.

It is put together in a mount namespace that one thread has to itself, opened, and taken away again: the
descriptor keeps it, and no mount table shows it. Paths in it are somebody else's: open them with
`linux.path.open_in_root`.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from argosy.image.snapshot import Mount, Snapshotter
from argosy.linux import mount, namespaces


class RootView:
    """`descriptor` is the root directory. Close it."""

    def __init__(self, descriptor: int, remove: Callable[[], object]) -> None:
        self._remove = remove
        self.descriptor = descriptor

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._remove()

    def __enter__(self) -> "RootView":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RootViews:
    """Thread-safe. `scratch` is an empty directory on the host, which nothing is ever seen in."""

    def __init__(self, snapshotter: Snapshotter, scratch: str) -> None:
        self._snapshotter = snapshotter
        self._scratch = scratch
        os.makedirs(scratch, mode=0o700, exist_ok=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="view", initializer=_leave)

    def open(self, chain: str | None) -> RootView:
        """The caller has a lease on the chain. Raises NotFound, OSError."""
        return self._thread.submit(self._open, chain).result()

    def close(self) -> None:
        self._thread.shutdown()

    def _open(self, chain: str | None) -> RootView:
        key = f"view-{os.urandom(12).hex()}"
        mounts = self._snapshotter.view(key, chain)
        try:
            descriptor = self._opened(mounts)
        except BaseException:
            self._snapshotter.remove(key)
            raise
        return RootView(descriptor, lambda: self._snapshotter.remove(key))

    def _opened(self, mounts: list[Mount]) -> int:
        mount.mount_stack([(each.type, each.source, each.options) for each in mounts], self._scratch)
        try:
            mount.only_to_look_at(self._scratch)
            return os.open(self._scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            for _ in mounts:
                mount.umount(self._scratch, mount.MNT_DETACH)


def _leave() -> None:
    """unshare(2): CLONE_NEWNS is the calling thread's alone."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mount.mount("", "/", flags=mount.MS_REC | mount.MS_PRIVATE)
