"""Where ext4 puts the inodes of a new tree.

For some minutes after a deletion ext4 does not give the freed inodes out again, and it looks at each of
them anew for every file that is created in their block group (`recently_deleted` in fs/ext4/ialloc.c).
A tree that is laid down where another was deleted just before takes ten times as long. A directory
marked as the top of a hierarchy (chattr(1), attribute T) spreads its subdirectories over the disk; of
some places, the first one is taken where nothing was deleted lately, as far as we know, and where files
are created quickly. Other file systems have no such attribute and no such trouble, and there the first
place will do.
"""

import errno
import fcntl
import os
import struct
import threading
import time

_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_TOP_OF_HIERARCHY = 0x00020000
_UNSUPPORTED = (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.ENOSYS)

_CANDIDATES = 12
_PROBES = 8
# Creating a file takes 20 µs in a good place and a millisecond in a bad one.
_QUICK_NANOSECONDS = 150_000
# Longer than freed inodes are held back (RECENTCY_MIN and RECENTCY_DIRTY).
_MEMORY_SECONDS = 310
# Inodes are allocated near their directory's, in a flexible block group: 16 groups of 8,192 by default.
_NEIGHBOURHOOD_BITS = 17


class Places:
    """Where directories go below `path`. Thread-safe."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._avoided: dict[int, float] = {}
        spread_subdirectories(path)

    def make_directory(self, name: str, mode: int) -> None:
        """mkdir(2) of `name`, in a good place."""
        for _ in range(_CANDIDATES - 1):
            candidate = os.path.join(self._path, f"{name}.{os.urandom(4).hex()}")
            os.mkdir(candidate, mode)
            if self._is_unspoilt(candidate) and _is_quick(candidate):
                os.rename(candidate, os.path.join(self._path, name))
                return
            os.rmdir(candidate)
        os.mkdir(os.path.join(self._path, name), mode)

    def avoid(self, directory: str) -> None:
        """The tree at `directory` is about to be deleted."""
        with self._lock:
            self._avoided[_neighbourhood(directory)] = time.monotonic() + _MEMORY_SECONDS

    def _is_unspoilt(self, directory: str) -> bool:
        with self._lock:
            return self._avoided.get(_neighbourhood(directory), 0.0) < time.monotonic()


def _neighbourhood(directory: str) -> int:
    return os.lstat(directory).st_ino >> _NEIGHBOURHOOD_BITS


def _is_quick(directory: str) -> bool:
    """One slow file is none: it may have waited for the disk."""
    slow = 0
    probes = [f"{directory}/{number}" for number in range(_PROBES)]
    for number, probe in enumerate(probes):
        slow += _creation_time(probe) > _QUICK_NANOSECONDS
        if slow > 1:
            probes = probes[: number + 1]
            break
    for probe in probes:
        os.unlink(probe)
    return slow <= 1


def _creation_time(path: str) -> int:
    started = time.perf_counter_ns()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    elapsed = time.perf_counter_ns() - started
    os.close(descriptor)
    return elapsed


def spread_subdirectories(path: str) -> None:
    """Mark `path` as the top of a hierarchy, if the file system knows the mark."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = struct.unpack("q", fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(8)))[0]
        fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("q", flags | _TOP_OF_HIERARCHY))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
