"""What a container has changed: the upper directory of an overlay compared with the tree below it.

Docker's rules (moby `archive.ChangesDirs`): a directory with anything changed in it counts as modified, as
does what has another mode, owner, device number or capability, and other than of a directory another size
or time. Of a tree that is gone, or has become something else, only the top is told.
"""

import os
import stat
from collections.abc import Collection
from enum import IntEnum
from typing import NamedTuple

from argosy.image import whiteout
from argosy.image.layer_diff import is_mount_point, is_opaque
from argosy.linux.path import DIRECTORY, VANISHED
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
    lister = _Lister(frozenset(left_out))
    try:
        lister.run(os.open(upper, DIRECTORY), os.open(b".", DIRECTORY, dir_fd=base))
    finally:
        lister.close()
    return lister.changes


class _Level:
    """A directory of the upper tree, the one at the same path below if there is one, and what is to come.

    `merged`: what is in the one below shows. `change`: itself, unless `told` only if something in it has
    changed, those changes beginning at `position`.
    """

    def __init__(
        self,
        upper: int,
        base: int | None,
        path: bytes,
        merged: bool,
        change: Change,
        told: bool,
        position: int,
    ) -> None:
        self.upper = upper
        self.base = base
        self.prefix = path + b"/" if path else b""
        self.merged = merged and not is_opaque(upper)
        self.change = change
        self.told = told
        self.position = position
        present = _names(upper)
        self.hidden = set() if self.merged or base is None else _names(base) - present
        self.names = sorted(present | self.hidden, reverse=True)

    def close(self) -> None:
        os.close(self.upper)
        if self.base is not None:
            os.close(self.base)


class _Lister:
    """A container may nest directories deeper than Python nests calls."""

    def __init__(self, left_out: frozenset[bytes]) -> None:
        self._left_out = left_out
        self._levels: list[_Level] = []
        self.changes: list[Change] = []

    def run(self, upper: int, base: int) -> None:
        root = Change(Kind.MODIFIED, b"/")
        self._levels.append(_Level(upper, base, b"", True, root, False, 0))
        while self._levels:
            level = self._levels[-1]
            if not level.names:
                self._leave(self._levels.pop())
                continue
            name = level.names.pop()
            if name in level.hidden:
                self._tell(Kind.DELETED, level.prefix + name)
                continue
            try:
                self._visit(level, name, level.prefix + name)
            except OSError as error:
                # It belongs to a container that may be running.
                if error.errno not in VANISHED:
                    raise

    def close(self) -> None:
        for level in self._levels:
            level.close()

    def _leave(self, level: _Level) -> None:
        level.close()
        if level.prefix and (level.told or len(self.changes) > level.position):
            self.changes.insert(level.position, level.change)

    def _visit(self, level: _Level, name: bytes, path: bytes) -> None:
        if path in self._left_out and is_mount_point(level.upper, name, path, self._left_out):
            return
        status = os.stat(name, dir_fd=level.upper, follow_symlinks=False)
        below = _status(level.base, name)
        if whiteout.is_whiteout_device(status):
            if below is not None:
                self._tell(Kind.DELETED, path)
            return
        if below is None:
            told = path not in self._left_out
            kind = Kind.ADDED if told else Kind.MODIFIED
        else:
            kind, told = Kind.MODIFIED, _differs(level, status, below, name)
        if stat.S_ISDIR(status.st_mode):
            upper = os.open(name, DIRECTORY, dir_fd=level.upper)
            base = None
            if below is not None and stat.S_ISDIR(below.st_mode):
                base = os.open(name, DIRECTORY, dir_fd=level.base)
            change = Change(kind, b"/" + path)
            self._levels.append(_Level(upper, base, path, level.merged, change, told, len(self.changes)))
        elif told:
            self._tell(kind, path)

    def _tell(self, kind: Kind, path: bytes) -> None:
        self.changes.append(Change(kind, b"/" + path))


def _differs(level: _Level, above: os.stat_result, below: os.stat_result, name: bytes) -> bool:
    if _identity(above) != _identity(below):
        return True
    if stat.S_ISDIR(above.st_mode):
        return False
    if above.st_size != below.st_size or not _same_time(above.st_mtime_ns, below.st_mtime_ns):
        return True
    return _capability(level.upper, name) != _capability(level.base, name)


def _names(directory: int) -> set[bytes]:
    return {os.fsencode(name) for name in os.listdir(directory)}


def _status(directory: int | None, name: bytes) -> os.stat_result | None:
    if directory is None:
        return None
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mode, status.st_uid, status.st_gid, status.st_rdev


def _same_time(one: int, other: int) -> bool:
    """Some archives and file systems know seconds only (moby `sameFsTimeSpec`)."""
    if one == other:
        return True
    (seconds, fraction), (others, other_fraction) = divmod(one, NANOSECONDS), divmod(other, NANOSECONDS)
    return seconds == others and not (fraction and other_fraction)


def _capability(directory: int | None, name: bytes) -> bytes:
    if directory is None:
        return b""
    try:
        path = b"/proc/self/fd/%d/%b" % (directory, name)
        return os.getxattr(path, "security.capability", follow_symlinks=False)
    except OSError:
        return b""
