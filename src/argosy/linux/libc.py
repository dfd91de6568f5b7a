"""The C library through ctypes: how a system call is made and how it fails."""

import ctypes
import os
from typing import Any

# PyDLL keeps the GIL: a clone() must not return twice into a half-released interpreter, and the
# calls that set up a container are too short to be worth letting go of it.
libc: Any = ctypes.PyDLL(None, use_errno=True)

SYS_PIVOT_ROOT = 155
SYS_RT_SIGACTION = 13
SYS_SECCOMP = 317
SYS_KEYCTL = 250
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_CLONE3 = 435
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

if os.uname().machine == "aarch64":
    SYS_PIVOT_ROOT = 41
    SYS_RT_SIGACTION = 134
    SYS_SECCOMP = 277
    SYS_KEYCTL = 219


def oserror(syscall: str, path: str | bytes = "") -> OSError:
    """The OSError for the C library's errno, its message led by the call that failed."""
    number = ctypes.get_errno()
    shown = os.fsdecode(path)
    return OSError(number, f"{syscall}: {os.strerror(number)}", shown or None)


def check(result: int, syscall: str, path: str | bytes = "") -> int:
    if result < 0:
        raise oserror(syscall, path)
    return result


def syscall(number: int, name: str, *arguments: object, path: str | bytes = "") -> int:
    """A raw system call. Integer arguments are passed as longs. Raises OSError."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return check(libc.syscall(ctypes.c_long(number), *converted), name, path)
