"""How much a tree holds that somebody else fills, perhaps at this moment."""

import os
import stat
from collections.abc import Collection

from argosy.linux.path import DIRECTORY, VANISHED


class _Level:
    """A directory that is open, and the names in it that are still to come."""

    __slots__ = ("descriptor", "names", "prefix")

    def __init__(self, descriptor: int, prefix: bytes) -> None:
        self.descriptor = descriptor
        self.prefix = prefix
        self.names = [os.fsencode(name) for name in os.listdir(descriptor)]


def tree_size(root: int, left_out: Collection[bytes] = ()) -> tuple[int, int]:
    """(bytes, inodes) below the directory `root`, a descriptor: files with several names once, directories
    without a size, as Docker counts.

    Symbolic links at `left_out` do not count, nor does what vanishes meanwhile. No link is followed, and a
    tree may be deeper than Python nests calls. Raises OSError.
    """
    size = inodes = 0
    seen: set[tuple[int, int]] = set()
    levels = [_Level(os.open(b".", DIRECTORY, dir_fd=root), b"")]
    try:
        while levels:
            level = levels[-1]
            if not level.names:
                os.close(levels.pop().descriptor)
                continue
            name = level.names.pop()
            try:
                status = os.stat(name, dir_fd=level.descriptor, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    below = os.open(name, DIRECTORY, dir_fd=level.descriptor)
                    inodes += 1
                    levels.append(_Level(below, level.prefix + name + b"/"))
                    continue
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
                continue
            if status.st_nlink > 1:
                identity = status.st_dev, status.st_ino
                if identity in seen:
                    continue
                seen.add(identity)
            inodes += 1
            if not stat.S_ISLNK(status.st_mode) or level.prefix + name not in left_out:
                size += status.st_size
    finally:
        for level in levels:
            os.close(level.descriptor)
    return size, inodes
