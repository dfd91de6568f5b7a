"""What is in a container's root so that it looks as Docker's do, or for something to be mounted there.

Docker makes a layer of it for each container, below the container's own. Here one directory is the lowest
layer of all containers, so that nothing is made at a start but what an image hides of it; and that is left
out of what the container has changed.
"""

import contextlib
import os

from argosy.image.snapshot import Mount
from argosy.image.stacked import with_bottom
from argosy.spec.oci_runtime import Marks

# Programs look for the first to know that they are in a container; old ones read the second.
ENVIRONMENT_MARK = ".dockerenv"
MOUNT_TABLE = "etc/mtab"
MARKS: Marks = {"files": [ENVIRONMENT_MARK], "links": {MOUNT_TABLE: "/proc/mounts"}}
PATHS = frozenset(
    path.encode()
    for path in (
        ENVIRONMENT_MARK,
        MOUNT_TABLE,
        "dev",
        "dev/console",
        "dev/mqueue",
        "dev/pts",
        "dev/shm",
        "etc",
        "etc/hostname",
        "etc/hosts",
        "etc/resolv.conf",
        "proc",
        "sys",
        "sys/fs",
        "sys/fs/cgroup",
    )
)
_FILES = (ENVIRONMENT_MARK, "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
_DIRECTORIES = ("", "dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
_MODE = 0o755


def lay(directory: str) -> None:
    """Make the layer, or what is missing of it."""
    for name in _DIRECTORIES:
        path = os.path.join(directory, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, _MODE)
    for name in _FILES:
        descriptor = os.open(os.path.join(directory, name), os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, _MODE)
        finally:
            os.close(descriptor)
    for name, target in MARKS["links"].items():
        with contextlib.suppress(FileExistsError):
            os.symlink(target, os.path.join(directory, name))


def above(directory: str, mounts: list[Mount]) -> list[Mount]:
    """A container's root with the layer at its bottom."""
    return with_bottom(mounts, directory)
