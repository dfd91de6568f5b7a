"""What is made in a container's root so that it looks as Docker's do, or for something to be mounted there.

Docker keeps it in a layer of its own below the container's; here it is left out of what the container has
changed.
"""

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
