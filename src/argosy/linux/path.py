"""Paths inside a root that somebody else controls.

openat2(2) with RESOLVE_IN_ROOT treats a directory as the root for every component: absolute symbolic
links and `..` stay inside, magic links are refused. Nothing here ever follows a link out.
"""

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator

from argosy.linux.libc import SYS_OPENAT2, syscall

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10
O_PATH = 0o10000000
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What the calls say of a name that is gone, or was a directory or a file and is a link now.
VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_in_root(root: int, path: str | bytes, flags: int, mode: int = 0, *, links: bool = True) -> int:
    """Open `path` as a process whose root is the directory `root` would. Raises OSError, without `links` for
    every symbolic link on the way."""
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (0 if links else RESOLVE_NO_SYMLINKS)
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=mode, resolve=resolve)
    encoded = os.fsencode(path) or b"."
    return syscall(SYS_OPENAT2, "openat2", root, encoded, ctypes.byref(how), ctypes.sizeof(how), path=encoded)


def open_regular(directory: int, name: str | bytes) -> int:
    """A descriptor to read the regular file `name` of an open directory with, no link followed.

    It is looked at before it is opened: opening a device does things. Raises OSError, with ENOENT for what
    is no regular file.
    """
    handle = os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise FileNotFoundError(errno.ENOENT, "no regular file", os.fsdecode(name))
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(handle)


def make_directories(root: int, path: str, mode: int = 0o755) -> int:
    """Like mkdir -p inside `root`; returns an O_PATH descriptor of the directory."""
    current = os.dup(root)
    done = ""
    try:
        for name in path.split("/"):
            if name in ("", "."):
                continue
            done = f"{done}/{name}"
            try:
                following = open_in_root(root, done, O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                try:
                    with _same_time(current):
                        _make_directory(current, name, mode)
                except FileExistsError:
                    os.close(make_directories(root, _dangling(current, name, done), mode))
                following = open_in_root(root, done, O_PATH | os.O_DIRECTORY)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    return current


def _make_directory(parent: int, name: str, mode: int) -> None:
    """With this mode, whatever the umask and the parent's default ACL."""
    os.mkdir(name, 0o700, dir_fd=parent)
    handle = os.open(name, O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def make_link(root: int, path: str, target: str) -> None:
    """A symbolic link at `path` inside `root`, unless something is there."""
    parent = make_directories(root, os.path.dirname(path))
    try:
        with _same_time(parent):
            os.symlink(target, os.path.basename(path), dir_fd=parent)
    except FileExistsError:
        return
    finally:
        os.close(parent)


@contextlib.contextmanager
def _same_time(directory: int) -> Iterator[None]:
    """Something may be made in the directory within, and its time stays: a mount point is no change."""
    status = os.fstat(directory)
    yield
    os.utime(f"/proc/self/fd/{directory}", ns=(status.st_atime_ns, status.st_mtime_ns))


def _dangling(directory: int, name: str, path: str) -> str:
    """Where the link `name` at `path` points, nothing being there: /etc/resolv.conf often is one."""
    target = os.readlink(name, dir_fd=directory)
    return target if target.startswith("/") else f"{os.path.dirname(path)}/{target}"


def make_mountpoint(root: int, path: str, *, directory: bool) -> int:
    """An O_PATH descriptor of `path` inside `root`, made as a directory or an empty file if missing.

    Raises OSError, NotADirectoryError among them when a file stands where a directory must be mounted.
    """
    try:
        descriptor = open_in_root(root, path, O_PATH)
    except FileNotFoundError:
        if directory:
            return make_directories(root, path)
        parent = make_directories(root, os.path.dirname(path))
        try:
            name = os.path.basename(path)
            with _same_time(parent):
                flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                made = os.open(name, flags, 0o600, dir_fd=parent)
                os.fchmod(made, 0o644)
                os.close(made)
        except FileExistsError:
            os.close(make_mountpoint(root, _dangling(parent, name, path), directory=False))
        finally:
            os.close(parent)
        return open_in_root(root, path, O_PATH)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode) != directory:
        os.close(descriptor)
        kind = "directory onto a file" if directory else "file onto a directory"
        raise NotADirectoryError(20, f"cannot mount a {kind}", path)
    return descriptor


_MOST_LINKS = 40


def resolve_in_root(root: int, path: str) -> str:
    """The path with every symbolic link followed as far as there is something; absolute inside `root`.

    For show: what it names may be another thing by the time that it is opened. Raises OSError.
    """
    pending = [name for name in reversed(path.split("/")) if name not in ("", ".")]
    done: list[str] = []
    links = 0
    while pending:
        name = pending.pop()
        if name == "..":
            del done[-1:]
            continue
        target = _link_at(root, "/" + "/".join(done), name)
        if not target:
            done.append(name)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        pending += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return "/" + "/".join(done)


def _link_at(root: int, directory: str, name: str) -> str:
    try:
        descriptor = open_in_root(root, directory, O_PATH | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        return os.readlink(name, dir_fd=descriptor)
    except OSError:
        # Nothing there, or no link.
        return ""
    finally:
        os.close(descriptor)
