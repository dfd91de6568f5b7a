"""The upper directory of an overlay, or an unpacked layer, written as the tar of a layer.

The inverse of `layer_apply`. The root itself has no entry: a layer that had one would change the root of
whatever it is put on.
"""

import os
import stat
from collections.abc import Collection

from argosy.image import tar, tarwrite, whiteout
from argosy.image.tree_tar import TreeTar, Write, attributes
from argosy.linux.path import DIRECTORY


def diff_layer(root: str, write: Write, left_out: Collection[bytes] = (), latest: int | None = None) -> None:
    """Write the tar of `root`. Raises OSError.

    `left_out`: paths where something else was mounted. What was made there for that, empty files and
    directories and links to /proc, is no change. `latest`: see `TreeTar`.
    """
    descriptor = os.open(root, DIRECTORY)
    try:
        differ = _Differ(write, frozenset(left_out), latest)
        differ.contents(descriptor, b"")
        differ.finish()
    finally:
        os.close(descriptor)


class _Differ(TreeTar):
    def __init__(self, write: Write, left_out: frozenset[bytes], latest: int | None) -> None:
        super().__init__(write, latest)
        self._left_out = left_out

    def _visit(self, directory: int, name: bytes, path: bytes) -> int | None:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if whiteout.is_whiteout_device(status):
            above = path[: len(path) - len(name)]
            self.emit(tarwrite.header(above + whiteout.PREFIX + name, tar.REGULAR, mode=0o600))
            return None
        if path in self._left_out and is_mount_point(directory, name, path, self._left_out):
            return None
        return super()._visit(directory, name, path)

    def _begin(self, descriptor: int, prefix: bytes) -> None:
        if is_opaque(descriptor):
            self.emit(tarwrite.header(prefix + whiteout.OPAQUE_MARK, tar.REGULAR, mode=0o600))


def is_mount_point(directory: int, name: bytes, path: bytes, left_out: Collection[bytes]) -> bool:
    """Whether what is at `path`, one of those left out, was made for something to be mounted there."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):
        return not status.st_size
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(name, dir_fd=directory).startswith(b"/proc/")
    if not stat.S_ISDIR(status.st_mode) or stat.S_IMODE(status.st_mode) != 0o755 or status.st_uid:
        return False
    descriptor = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        if is_opaque(descriptor):
            return False
        below = [os.fsencode(each) for each in os.listdir(descriptor)]
        return all(
            path + b"/" + each in left_out and is_mount_point(descriptor, each, path + b"/" + each, left_out)
            for each in below
        )
    finally:
        os.close(descriptor)


def is_opaque(descriptor: int) -> bool:
    """Whether a directory hides what the layers below have in it."""
    held = attributes(descriptor)
    return any(held.get(os.fsencode(n)) == b"y" for n in (whiteout.TRUSTED_OPAQUE, whiteout.USER_OPAQUE))
