"""Copying a directory of an image into a fresh volume, exactly: owners, modes, times, xattrs, links.

Both trees are walked by descriptor and no symbolic link is ever followed, so nothing that an image
holds leads the copy astray.
"""

import os
import stat

from argosy.linux.path import O_PATH, open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_CHUNK = 1 << 20


def copy_up(origin: int, volume: int) -> None:
    """Copy the directory `origin` into the directory `volume`, both descriptors, if that is empty."""
    if os.listdir(volume):
        return
    _Copier(volume).directory(origin, volume, "")


class _Copier:
    def __init__(self, volume: int) -> None:
        self._volume = volume
        # (device, inode) → the path in the volume of the first link to it.
        self._links: dict[tuple[int, int], str] = {}

    def directory(self, origin: int, target: int, path: str) -> None:
        """`path` is where `target` is in the volume."""
        for name in os.listdir(origin):
            self._entry(origin, target, name, f"{path}/{name}")
        status = os.fstat(origin)
        os.fchown(target, status.st_uid, status.st_gid)
        os.fchmod(target, stat.S_IMODE(status.st_mode))
        _copy_xattrs(origin, target)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _entry(self, origin: int, target: int, name: str, path: str) -> None:
        status = os.stat(name, dir_fd=origin, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            source = os.open(name, _DIRECTORY, dir_fd=origin)
            copy = os.open(name, _DIRECTORY, dir_fd=target)
            try:
                self.directory(source, copy, path)
            finally:
                os.close(copy)
                os.close(source)
            return
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._links:
            first = open_in_root(self._volume, self._links[key], O_PATH | os.O_NOFOLLOW)
            try:
                os.link(f"/proc/self/fd/{first}", name, dst_dir_fd=target, follow_symlinks=True)
            finally:
                os.close(first)
            return
        if status.st_nlink > 1:
            self._links[key] = path
        if stat.S_ISREG(status.st_mode):
            _copy_file(origin, target, name, status)
            return
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=origin), name, dir_fd=target)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_file(origin: int, target: int, name: str, status: os.stat_result) -> None:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=origin)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    copy = os.open(name, flags, 0o600, dir_fd=target)
    try:
        while os.sendfile(copy, source, None, _COPY_CHUNK):
            pass
        os.fchown(copy, status.st_uid, status.st_gid)
        os.fchmod(copy, stat.S_IMODE(status.st_mode))
        _copy_xattrs(source, copy)
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(copy)
        os.close(source)


def _copy_xattrs(source: int, target: int) -> None:
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            os.setxattr(target, name, os.getxattr(source, name))
