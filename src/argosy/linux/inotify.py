"""inotify(7), as far as following a log needs it."""

import ctypes
import os

from argosy.linux.libc import check, libc

IN_MODIFY = 0x002
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC


def watch(path: str, events: int) -> int:
    """A non-blocking inotify descriptor that becomes readable on `events` at `path`."""
    descriptor = check(libc.inotify_init1(_NONBLOCK_CLOEXEC), "inotify_init1")
    try:
        check(
            libc.inotify_add_watch(descriptor, os.fsencode(path), ctypes.c_uint32(events)),
            "inotify_add_watch",
            path,
        )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def drain(descriptor: int) -> None:
    """Forget the pending events."""
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        return
