"""The /dev/shm of a container that lends it: --ipc shareable.

A tmpfs in its bundle on the host, since a mount cannot be taken out of another container's mount namespace.
"""

import os

from argosy.linux import mount

_NAME = "shm"


def path_in(bundle: str) -> str:
    return os.path.join(bundle, _NAME)


def make(bundle: str, size: int) -> None:
    """`size` in bytes."""
    path = path_in(bundle)
    os.makedirs(path, exist_ok=True)
    remove(bundle)
    flags = mount.MS_NOSUID | mount.MS_NOEXEC | mount.MS_NODEV
    mount.mount("shm", path, "tmpfs", flags, f"mode=1777,size={size}")


def remove(bundle: str) -> None:
    """Idempotent. Those who share it keep it."""
    path = path_in(bundle)
    while os.path.ismount(path):
        mount.umount(path, mount.MNT_DETACH)
