"""Making the fork server warm: it sets a container's world up, in namespaces that it leaves again.

The interpreter learns while code runs: it rewrites the code for the types that it meets (PEP 659), fills its
caches of attributes, binds the C library's functions. A child forgets all of that, and copies every page
first that it writes such to. What the fork server has learned, its children know.
"""

import contextlib
import os

from argosy.linux import namespaces
from argosy.runtime import plan
from argosy.runtime.operations import Context, Operation
from argosy.spec.oci_runtime import Config, Endpoint, Mount

# As often as the interpreter wants to see code run before it rewrites it.
_ROUNDS = 10
_LEFT = ("mount", "network", "ipc", "uts", "cgroup")
_ENDPOINT: Endpoint = {
    "name": "eth0",
    "host_name": "rehearsal",
    "bridge": 0,
    "mac": "02:42:00:00:00:02",
    "mtu": 1500,
    "addresses": ["192.0.2.2/24"],
    "gateway": "192.0.2.1",
    "hairpin": False,
}
_MOUNTS: list[Mount] = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "mode=1777"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]},
    {"destination": "/etc/hosts", "type": "bind", "source": "/dev/null", "options": ["rbind", "rprivate"]},
]


def rehearse(target: str) -> None:
    """`target` is a directory that a root may be mounted on. Raises OSError, Refused, where it began."""
    with contextlib.ExitStack() as opened:
        paths = ["/", *(namespaces.namespace_path("self", name) for name in _LEFT)]
        root, *left = [_opened(opened, path) for path in paths]
        # What cannot be come back from is not left.
        _return(left, root)
        opened.callback(os.umask, os.umask(0))
        for _ in range(_ROUNDS):
            try:
                # The host's side of the network must be none of the host's.
                namespaces.unshare(namespaces.CLONE_NEWNET)
                _perform(plan.plan_init(_world(target)))
            finally:
                _return(left, root)


def _opened(stack: contextlib.ExitStack, path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _return(left: list[int], root: int) -> None:
    for descriptor in left:
        namespaces.setns(descriptor)
    # A mount namespace is entered at its own root, which need not be this process's.
    os.fchdir(root)
    os.chroot(".")


def _perform(steps: list[Operation]) -> None:
    context = Context({"PATH": "/bin"})
    try:
        for step in plan.read(plan.written(steps)):
            step.execute(context)
    finally:
        if context.host_route is not None:
            context.host_route.close()
        if context.root >= 0:
            os.close(context.root)


def _world(target: str) -> Config:
    return {
        "process": {"args": ["true"], "cwd": "/", "argosyUser": "0"},
        "root": {"path": target},
        "hostname": "rehearsal",
        "mounts": _MOUNTS,
        "linux": {
            "namespaces": [{"type": kind} for kind in _LEFT],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/none"],
            "readonlyPaths": ["/proc/sys", "/proc/bus"],
        },
        "argosy": {
            "rootfs": [{"type": "tmpfs", "source": "tmpfs", "options": []}],
            "endpoints": [_ENDPOINT],
            "marks": {"files": [".dockerenv"], "links": {"etc/mtab": "/proc/mounts"}},
        },
    }
