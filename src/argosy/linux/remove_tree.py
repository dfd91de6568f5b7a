"""Deleting trees that somebody else filled.

Never follows a link, whatever is swapped in during the walk; names may hold anything but a slash; trees
may be deeper than a path or the table of open files allows; the immutable and append-only flags, which
a container with CAP_LINUX_IMMUTABLE can set, are taken off.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
from typing import Protocol

from argosy.linux.path import DIRECTORY, O_PATH

_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_IMMUTABLE_OR_APPEND = 0x10 | 0x20
# Deeper directories are first moved up to the top of the tree.
_MAXIMUM_DEPTH = 64


def remove_tree(path: str | bytes) -> None:
    """Delete `path` and all below. A missing path is no error. Raises OSError."""
    parent = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_at(parent, os.fsencode(os.path.basename(path)))
    finally:
        os.close(parent)


def discard_tree(path: str | bytes) -> None:
    """As `remove_tree`, for what is removed at the next start if it cannot be now."""
    with contextlib.suppress(OSError):
        remove_tree(path)


def remove_at(directory: int, name: bytes) -> None:
    """Delete the entry `name` of an open directory, with all below it."""
    try:
        _retry(os.unlink, directory, name)
        return
    except FileNotFoundError:
        return
    except IsADirectoryError:
        pass
    _empty(directory, name)
    _retry(os.rmdir, directory, name)


class _Call(Protocol):
    def __call__(self, name: bytes, /, *, dir_fd: int) -> None: ...


def _retry(call: _Call, directory: int, name: bytes) -> None:
    """An immutable or append-only file, or a directory that is one, answers EPERM."""
    try:
        call(name, dir_fd=directory)
    except PermissionError:
        _make_mutable(directory, b".")
        _make_mutable(directory, name)
        call(name, dir_fd=directory)


def _make_mutable(directory: int, name: bytes) -> None:
    try:
        descriptor = _opened(directory, name)
    except OSError:
        return
    try:
        flags = struct.unpack("i", fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(4)))[0]
        if flags & _IMMUTABLE_OR_APPEND:
            fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("i", flags & ~_IMMUTABLE_OR_APPEND))
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    finally:
        os.close(descriptor)


def _opened(directory: int, name: bytes) -> int:
    """A file or a directory, and nothing whose opening does things. Raises OSError."""
    handle = os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(mode := os.fstat(handle).st_mode) and not stat.S_ISDIR(mode):
            raise FileNotFoundError(errno.ENOENT, "neither a file nor a directory", os.fsdecode(name))
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(handle)


class _Frame:
    """A directory being emptied: its descriptor, its name in the one above, the directories left in it."""

    __slots__ = ("children", "descriptor", "name")

    def __init__(self, above: int, name: bytes) -> None:
        self.name = name
        self.descriptor = os.open(name, DIRECTORY, dir_fd=above)
        self.children = _clear_files(self.descriptor)


def _empty(directory: int, name: bytes) -> None:
    """Delete everything in a directory, with a stack of our own."""
    stack = [_Frame(directory, name)]
    try:
        while stack:
            frame = stack[-1]
            if not frame.children:
                stack.pop()
                os.close(frame.descriptor)
                if stack:
                    _retry(os.rmdir, stack[-1].descriptor, frame.name)
                continue
            child = frame.children.pop()
            if len(stack) < _MAXIMUM_DEPTH:
                stack.append(_Frame(frame.descriptor, child))
            else:
                # Its name is free: nobody could have known it beforehand.
                name = b".deep-" + os.urandom(12).hex().encode()
                _move(frame.descriptor, child, stack[0].descriptor, name)
                stack[0].children.append(name)
    finally:
        for frame in stack:
            os.close(frame.descriptor)


def _clear_files(directory: int) -> list[bytes]:
    """Unlink all that is not a directory; the names of the directories that remain."""
    children = []
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                children.append(name)
            else:
                with contextlib.suppress(FileNotFoundError):
                    _retry(os.unlink, directory, name)
    return children


def _move(directory: int, name: bytes, target: int, new_name: bytes) -> None:
    try:
        os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=target)
    except PermissionError:
        for holder, entry in ((directory, b"."), (directory, name), (target, b".")):
            _make_mutable(holder, entry)
        os.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=target)
