"""clone3(2), unshare(2), setns(2)."""

import ctypes
import os
import signal

from argosy.linux.libc import SYS_CLONE3, check, libc, syscall

CLONE_FS = 0x00000200
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# The names of the OCI runtime spec ("Linux namespaces"), with their file in /proc/<pid>/ns.
NAMESPACES = {
    "mount": (CLONE_NEWNS, "mnt"),
    "pid": (CLONE_NEWPID, "pid"),
    "network": (CLONE_NEWNET, "net"),
    "ipc": (CLONE_NEWIPC, "ipc"),
    "uts": (CLONE_NEWUTS, "uts"),
    "cgroup": (CLONE_NEWCGROUP, "cgroup"),
    "user": (CLONE_NEWUSER, "user"),
}


class _CloneArgs(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("pidfd", ctypes.c_uint64),
        ("child_tid", ctypes.c_uint64),
        ("parent_tid", ctypes.c_uint64),
        ("exit_signal", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("stack_size", ctypes.c_uint64),
        ("tls", ctypes.c_uint64),
        ("set_tid", ctypes.c_uint64),
        ("set_tid_size", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
    ]


def clone(flags: int = 0) -> tuple[int, int]:
    """Fork with namespaces: (pid, pidfd) in the caller, (0, -1) in the child.

    Only for a process with a single thread: unlike os.fork no after-fork hook runs, none being needed
    there. With CLONE_PARENT the child is the caller's sibling.
    """
    pidfd = ctypes.c_int(-1)
    # A sibling ends as its caller does.
    exit_signal = 0 if flags & CLONE_PARENT else int(signal.SIGCHLD)
    arguments = _CloneArgs(flags=flags | CLONE_PIDFD, pidfd=ctypes.addressof(pidfd), exit_signal=exit_signal)
    pid = syscall(SYS_CLONE3, "clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))
    return pid, pidfd.value if pid else -1


def unshare(flags: int) -> None:
    check(libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, flags: int = 0) -> None:
    """Join the namespace behind a /proc/<pid>/ns file, or those named by `flags` of a pidfd."""
    check(libc.setns(ctypes.c_int(descriptor), ctypes.c_int(flags)), "setns")


def namespace_path(pid: int | str, name: str) -> str:
    return f"/proc/{pid}/ns/{NAMESPACES[name][1]}"


def sethostname(name: str) -> None:
    encoded = os.fsencode(name)
    check(libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), "sethostname", name)


def setdomainname(name: str) -> None:
    encoded = os.fsencode(name)
    check(libc.setdomainname(encoded, ctypes.c_size_t(len(encoded))), "setdomainname", name)
