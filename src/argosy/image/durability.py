"""Getting data onto the disk: syncfs(2) and sync_file_range(2), which Python has no functions for."""

import ctypes
import os

# Not `linux.libc`: that library keeps the GIL, and these calls take as long as the disk does.
_libc = ctypes.CDLL(None, use_errno=True)
_SYNC_FILE_RANGE_WRITE = 2


def sync_filesystem(path: str) -> None:
    """Everything written to the file system that holds `path`. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


def sync_directory(path: str) -> None:
    """The names in a directory, after a rename into it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def start_writeback(descriptor: int, offset: int, size: int) -> None:
    """Let the disk begin with a part of a file, so that the fsync at the end finds little left to do.

    A hint: file systems that cannot do it are no error.
    """
    _libc.sync_file_range(
        descriptor, ctypes.c_int64(offset), ctypes.c_int64(size), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)
    )
