"""prctl(2), keyctl(2) and close_range(2): what a process may say about itself before it execs."""

import ctypes
import os

from argosy.linux.libc import SYS_KEYCTL, SYS_RT_SIGACTION, check, libc, syscall

PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4
_KEYCTL_JOIN_SESSION_KEYRING = 1


# A function of its own: others call prctl with other types.
_prctl = libc["prctl"]
_prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def prctl(option: int, first: int = 0, second: int = 0) -> int:
    result = _prctl(option, first, second, 0, 0)
    return result if result >= 0 else check(result, f"prctl({option})")


def set_name(name: str) -> None:
    """The name shown by ps and top: at most 15 bytes."""
    check(libc.prctl(ctypes.c_int(PR_SET_NAME), ctypes.c_char_p(os.fsencode(name)), 0, 0, 0), "prctl")


def join_new_session_keyring() -> None:
    """An anonymous session keyring, so that nothing in the caller's stays reachable (keyrings(7))."""
    syscall(SYS_KEYCTL, "keyctl", _KEYCTL_JOIN_SESSION_KEYRING, None)


def stop_ignoring_signals() -> None:
    """Give every ignored signal its default action: an ignored one would stay ignored across exec.

    Past the C library, which keeps the numbers 32 and 33 to itself.
    """
    with open("/proc/self/status") as file:
        ignored = next(int(line.split()[1], 16) for line in file if line.startswith("SigIgn:"))
    default = ctypes.create_string_buffer(32)
    for number in range(1, 65):
        if ignored >> (number - 1) & 1:
            syscall(SYS_RT_SIGACTION, "rt_sigaction", number, ctypes.byref(default), None, 8)


def close_all_except(kept: list[int]) -> None:
    """Close every descriptor that is not in `kept`."""
    low = 0
    for descriptor in sorted(kept):
        if descriptor > low:
            os.closerange(low, descriptor)
        low = descriptor + 1
    check(libc.close_range(ctypes.c_uint(low), ctypes.c_uint(0xFFFFFFFF), ctypes.c_int(0)), "close_range")
