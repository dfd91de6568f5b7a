"""How much is in a volume."""

import contextlib
import os
import stat
from collections.abc import Iterator


def size(path: str) -> int:
    """The bytes of the files below `path`, those with several names counted once. What goes meanwhile does
    not count."""
    total = 0
    seen: set[tuple[int, int]] = set()
    for status in _files(path):
        if status.st_nlink > 1:
            identity = status.st_dev, status.st_ino
            if identity in seen:
                continue
            seen.add(identity)
        total += status.st_size
    return total


def _files(path: str) -> Iterator[os.stat_result]:
    with contextlib.suppress(FileNotFoundError):
        for _, directories, names, descriptor in os.fwalk(path):
            # A link to a directory is among the directories.
            for name in (*directories, *names):
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    if not stat.S_ISDIR(status.st_mode):
                        yield status
