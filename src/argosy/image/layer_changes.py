"""What a container has changed: the upper directory of an overlay compared with the tree below it.

Docker's rules (moby `archive.ChangesDirs`): a directory with anything changed in it counts as modified, as
does what has another mode, owner, device number or capability, and other than of a directory another size
or time. Of a tree that is gone only the top is told.
"""

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import NamedTuple

from argosy.image import whiteout
from argosy.image.layer_diff import is_mount_point, is_opaque
from argosy.image.tree_tar import DIRECTORY
from argosy.linux.path import O_PATH, open_in_root
from argosy.units import NANOSECONDS


class Kind(IntEnum):
    """The API's numbers."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


class Change(NamedTuple):
    kind: Kind
    path: bytes


def list_changes(upper: str, base: int, left_out: Collection[bytes] = ()) -> list[Change]:
    """In the order of paths. `base` is a descriptor of the tree below; `left_out` as in `diff_layer`.

    Raises OSError.
    """
    lister = _Lister(base, left_out)
    descriptor = os.open(upper, DIRECTORY)
    try:
        lister.directory(descriptor, b"")
    finally:
        os.close(descriptor)
    return lister.changes


class _Lister:
    def __init__(self, base: int, left_out: Collection[bytes]) -> None:
        self._base = base
        self._left_out = left_out
        self.changes: list[Change] = []

    def directory(self, descriptor: int, prefix: bytes) -> None:
        names = {os.fsencode(name) for name in os.listdir(descriptor)}
        hidden = self._names_below(prefix) - names if is_opaque(descriptor) else set()
        for name in sorted(names | hidden):
            path = prefix + name
            if name in hidden:
                self._tell(Kind.DELETED, path)
                continue
            try:
                self._entry(descriptor, name, path)
            except FileNotFoundError:
                # It belongs to a container that may be running.
                continue

    def _entry(self, directory: int, name: bytes, path: bytes) -> None:
        if path in self._left_out and is_mount_point(directory, name, path, self._left_out):
            return
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        below = self._below(path)
        if whiteout.is_whiteout_device(status):
            if below is not None:
                self._tell(Kind.DELETED, path)
            return
        position = len(self.changes)
        if stat.S_ISDIR(status.st_mode):
            descriptor = os.open(name, DIRECTORY, dir_fd=directory)
            try:
                self.directory(descriptor, path + b"/")
            finally:
                os.close(descriptor)
        elif below is not None and stat.S_ISDIR(below.st_mode):
            for gone in sorted(self._names_below(path)):
                self._tell(Kind.DELETED, path + b"/" + gone)
        kind = Kind.MODIFIED
        if below is None and path not in self._left_out:
            kind = Kind.ADDED
        elif len(self.changes) == position and (
            below is None or not self._differs(directory, name, path, below)
        ):
            return
        self.changes.insert(position, Change(kind, b"/" + path))

    def _tell(self, kind: Kind, path: bytes) -> None:
        self.changes.append(Change(kind, b"/" + path))

    def _below(self, path: bytes) -> os.stat_result | None:
        try:
            with self._opened(path, O_PATH | os.O_NOFOLLOW) as descriptor:
                return os.fstat(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _names_below(self, path: bytes) -> set[bytes]:
        try:
            with self._opened(path, DIRECTORY) as descriptor:
                return {os.fsencode(name) for name in os.listdir(descriptor)}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def _differs(self, directory: int, name: bytes, path: bytes, below: os.stat_result) -> bool:
        above = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if _identity(above) != _identity(below):
            return True
        if stat.S_ISDIR(above.st_mode):
            return False
        if above.st_size != below.st_size or not _same_time(above.st_mtime_ns, below.st_mtime_ns):
            return True
        with self._opened(path, O_PATH | os.O_NOFOLLOW) as descriptor:
            held = _capability(b"/proc/self/fd/%d" % descriptor, follow=True)
        return _capability(b"/proc/self/fd/%d/%b" % (directory, name), follow=False) != held

    @contextlib.contextmanager
    def _opened(self, path: bytes, flags: int) -> Iterator[int]:
        descriptor = open_in_root(self._base, path.strip(b"/") or b".", flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mode, status.st_uid, status.st_gid, status.st_rdev


def _same_time(one: int, other: int) -> bool:
    """Some archives and file systems know seconds only (moby `sameFsTimeSpec`)."""
    if one == other:
        return True
    (seconds, fraction), (others, other_fraction) = divmod(one, NANOSECONDS), divmod(other, NANOSECONDS)
    return seconds == others and not (fraction and other_fraction)


def _capability(path: bytes, *, follow: bool) -> bytes:
    try:
        return os.getxattr(path, "security.capability", follow_symlinks=follow)
    except OSError:
        return b""
