"""A root that somebody else made: nothing in it leads outside, and none of it fills the memory."""

import hashlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader

from argosy.linux.path import O_PATH, open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_LARGEST_FILE = 64 << 20
_MOST_ENTRIES = 1_000_000
_LONGEST_PATH = 1024


class Tree:
    def __init__(self, root: int) -> None:
        """`root` is the root directory's descriptor."""
        self._root = root

    def read(self, path: str, limit: int = _LARGEST_FILE) -> bytes | None:
        """A file's first bytes; None if there is no such file. Links count as in a chroot."""
        file = self._opened(path)
        if file is None:
            return None
        with file:
            return file.read(limit)

    def sha256(self, path: str) -> str | None:
        """Of a whole file; None if there is no such file."""
        file = self._opened(path)
        if file is None:
            return None
        with file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _opened(self, path: str) -> BufferedReader | None:
        try:
            descriptor = open_in_root(self._root, path, _FILE)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        return os.fdopen(descriptor, "rb")

    def names(self, path: str) -> list[str]:
        """What is in a directory; nothing if it is none."""
        try:
            descriptor = open_in_root(self._root, path, _DIRECTORY & ~os.O_NOFOLLOW)
        except OSError:
            return []
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def has(self, path: str) -> bool:
        try:
            os.close(open_in_root(self._root, path, O_PATH))
        except OSError:
            return False
        return True

    def files(self) -> Iterator[str]:
        """The paths of all regular files, without a leading slash; links are not followed."""
        pending = [""]
        seen = 0
        while pending:
            path = pending.pop()
            directories = []
            for name, is_directory in self._listed(path):
                seen += 1
                if seen > _MOST_ENTRIES:
                    return
                below = f"{path}/{name}" if path else name
                if len(below) > _LONGEST_PATH:
                    continue
                if is_directory:
                    directories.append(below)
                else:
                    yield below
            pending += reversed(directories)

    def _listed(self, path: str) -> list[tuple[str, bool]]:
        """Directories and regular files."""
        descriptor = open_in_root(self._root, path or ".", _DIRECTORY)
        try:
            with os.scandir(descriptor) as entries:
                return sorted(
                    (entry.name, entry.is_dir(follow_symlinks=False))
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
                )
        finally:
            os.close(descriptor)
