"""A directory's tree written as a tar, in the order of names, so that the same tree gives the same bytes.

Everything is reached by descriptor and no symbolic link is followed. Sockets are left out, as Docker does.
The tree may belong to a running container and change meanwhile: what vanishes, or becomes something else
between two looks at it, is left out, a file that changes is cut or filled to the size in its header.
"""

import errno
import os
import stat
from collections.abc import Callable

from argosy.image import tar, tarwrite, whiteout
from argosy.linux.path import DIRECTORY, VANISHED, open_regular

_BUFFER = 1 << 17
_ZEROS = bytes(1 << 16)
_KINDS = {
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFIFO: tar.FIFO,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
}

Write = Callable[[bytes], object]


class _Level:
    """A directory that is open, and the names in it that are still to come, last first."""

    def __init__(self, descriptor: int, prefix: bytes) -> None:
        self.descriptor = descriptor
        self.prefix = prefix
        self.names = sorted((os.fsencode(name) for name in os.listdir(descriptor)), reverse=True)


class TreeTar:
    """Entries one after the other into one archive; `finish` comes last."""

    def __init__(self, write: Write, latest: int | None = None) -> None:
        """With `latest`, Unix nanoseconds, no entry is younger."""
        self._write = write
        self._latest = latest
        self._buffer = bytearray()
        # The name that each file with several links was first written under.
        self._links: dict[tuple[int, int], bytes] = {}

    def finish(self) -> None:
        self._flush()
        self._write(tarwrite.END)

    def path(self, path: bytes, name: bytes) -> None:
        """What is at a path of this machine, as `name`; where it ends with a slash or a dot, the directory.

        Raises OSError.
        """
        folder, last = os.path.split(path)
        descriptor = os.open(folder or b".", DIRECTORY & ~os.O_NOFOLLOW)
        try:
            if last in (b"", b"."):
                self.directory(descriptor, name + b"/")
            else:
                self.entry(descriptor, last, name)
        finally:
            os.close(descriptor)

    def file(self, path: bytes, data: bytes) -> None:
        """A file that is not in the tree, root's and readable by all."""
        size = len(data)
        self.emit(tarwrite.header(path, tar.REGULAR, mode=0o644, size=size) + data + bytes(tar.padding(size)))

    def contents(self, descriptor: int, prefix: bytes) -> None:
        """What is in the directory; `prefix` leads each name and ends with a slash, or is empty.

        A container may nest directories deeper than Python nests calls. Raises OSError.
        """
        levels = [_Level(os.dup(descriptor), prefix)]
        try:
            self._begin(descriptor, prefix)
            while levels:
                level = levels[-1]
                if not level.names:
                    os.close(levels.pop().descriptor)
                    continue
                name = level.names.pop()
                try:
                    below = self._visit(level.descriptor, name, level.prefix + name)
                except OSError as error:
                    if error.errno not in VANISHED:
                        raise
                    continue
                if below is not None:
                    levels.append(_Level(below, level.prefix + name + b"/"))
                    self._begin(below, level.prefix + name + b"/")
        finally:
            for level in levels:
                os.close(level.descriptor)

    def entry(self, directory: int, name: bytes, path: bytes) -> None:
        """What `name` in the directory is, and all below it, as `path`. Raises OSError."""
        descriptor = self._visit(directory, name, path)
        if descriptor is not None:
            try:
                self.contents(descriptor, path + b"/")
            finally:
                os.close(descriptor)

    def directory(self, descriptor: int, path: bytes) -> None:
        """A directory and all below it; `path` ends with a slash. Raises OSError."""
        self._directory(descriptor, path)
        self.contents(descriptor, path)

    def _visit(self, directory: int, name: bytes, path: bytes) -> int | None:
        """Of a directory its own entry only, and a descriptor of it."""
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            descriptor = os.open(name, DIRECTORY, dir_fd=directory)
            try:
                self._directory(descriptor, path + b"/")
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor
        if not stat.S_ISSOCK(status.st_mode):
            self._leaf(directory, name, path, status)
        return None

    def _directory(self, descriptor: int, path: bytes) -> None:
        xattrs = visible(attributes(descriptor))
        self.emit(self._header(path, tar.DIRECTORY, os.fstat(descriptor), xattrs=xattrs))

    def _begin(self, descriptor: int, prefix: bytes) -> None:
        """For those who have something to say of a directory before its content."""

    def emit(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        if self._buffer:
            self._write(bytes(self._buffer))
            self._buffer.clear()

    def _leaf(self, directory: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1:
            first = self._links.get(identity)
            if first is not None:
                self.emit(self._header(path, tar.HARD_LINK, status, link=first))
                return
        if stat.S_ISREG(status.st_mode):
            self._regular(directory, name, path)
        else:
            link = os.fsencode(os.readlink(name, dir_fd=directory)) if stat.S_ISLNK(status.st_mode) else b""
            xattrs = visible(attributes(b"/proc/self/fd/%d/%b" % (directory, name)))
            kind = _KINDS[stat.S_IFMT(status.st_mode)]
            self.emit(self._header(path, kind, status, link=link, xattrs=xattrs))
        if status.st_nlink > 1:
            self._links[identity] = path

    def _regular(self, directory: int, name: bytes, path: bytes) -> None:
        descriptor = open_regular(directory, name)
        try:
            status = os.fstat(descriptor)
            xattrs = visible(attributes(descriptor))
            self.emit(self._header(path, tar.REGULAR, status, size=status.st_size, xattrs=xattrs))
            self._data(descriptor, status)
            self.emit(bytes(tar.padding(status.st_size)))
        finally:
            os.close(descriptor)

    def _data(self, descriptor: int, status: os.stat_result) -> None:
        size = status.st_size
        position = 0
        sparse = status.st_blocks * 512 < size
        while position < size:
            if sparse:
                position = self._hole(descriptor, position, size)
            data = os.pread(descriptor, min(size - position, tar.CHUNK), position)
            if not data:
                self._zeros(size - position)
                return
            position += len(data)
            if len(data) < _BUFFER:
                self.emit(data)
            else:
                self._flush()
                self._write(data)

    def _hole(self, descriptor: int, position: int, size: int) -> int:
        """Write zeros for the hole at `position` without reading it; where it ends."""
        try:
            following = min(os.lseek(descriptor, position, os.SEEK_DATA), size)
        except OSError as error:
            if error.errno != errno.ENXIO:
                return position
            following = size
        self._zeros(following - position)
        return following

    def _header(
        self,
        path: bytes,
        kind: bytes,
        status: os.stat_result,
        *,
        size: int = 0,
        link: bytes = b"",
        xattrs: dict[bytes, bytes] | None = None,
    ) -> bytes:
        device = kind in (tar.CHARACTER, tar.BLOCK_DEVICE)
        mtime = status.st_mtime_ns
        return tarwrite.header(
            path,
            kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            size=size,
            mtime=mtime if self._latest is None else min(mtime, self._latest),
            link=link,
            major=os.major(status.st_rdev) if device else 0,
            minor=os.minor(status.st_rdev) if device else 0,
            xattrs=xattrs,
        )

    def _zeros(self, size: int) -> None:
        self._flush()
        while size > 0:
            self._write(_ZEROS[:size])
            size -= len(_ZEROS)


def attributes(target: int | bytes) -> dict[bytes, bytes]:
    try:
        if isinstance(target, int):
            return {os.fsencode(name): os.getxattr(target, name) for name in os.listxattr(target)}
        names = os.listxattr(target, follow_symlinks=False)
        return {os.fsencode(name): os.getxattr(target, name, follow_symlinks=False) for name in names}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA):
            return {}
        raise


def visible(attributes: dict[bytes, bytes]) -> dict[bytes, bytes]:
    if not attributes:
        return attributes
    return {name: value for name, value in attributes.items() if whiteout.is_carried(name)}
