"""Directories that were received from clients, kept so that next time only what has changed travels.

A tree belongs to a key: who sent it, and what it was called there. A build has it to itself: its directory
is renamed to `busy` for that time, and another build with the same key receives everything anew. So what is
`idle` is always whole. Nothing is synced: after a reboot all are forgotten.
"""

import contextlib
import hashlib
import os
import tempfile
import threading
import time
from dataclasses import dataclass

from argosy.linux.remove_tree import discard_tree

_MOST = 16
_LONGEST = 48 * 3600.0


@dataclass(frozen=True, slots=True)
class Kept:
    """A tree that is idle. `last_used` in Unix nanoseconds."""

    name: str
    path: str
    last_used: int


class Trees:
    """Thread-safe. `root` is a directory of its own."""

    def __init__(self, root: str) -> None:
        self._idle = os.path.join(root, "idle")
        self._busy = os.path.join(root, "busy")
        self._lock = threading.Lock()
        mark = os.path.join(root, "boot")
        discard_tree(self._busy)
        if _read(mark) != _boot():
            discard_tree(self._idle)
        os.makedirs(self._idle, mode=0o700, exist_ok=True)
        os.makedirs(self._busy, mode=0o700, exist_ok=True)
        with open(mark, "w") as file:
            file.write(_boot())

    def borrow(self, key: str) -> str:
        """The path of a directory that nobody else has."""
        path = tempfile.mkdtemp(dir=self._busy)
        with self._lock, contextlib.suppress(FileNotFoundError):
            # Onto the empty directory: rename(2) replaces one.
            os.rename(self._path(key), path)
        return path

    def give_back(self, key: str, path: str) -> None:
        """Whole, for the next build."""
        os.utime(path)
        with self._lock:
            discard_tree(self._path(key))
            os.rename(path, self._path(key))
        self._evict()

    def discard(self, path: str) -> None:
        discard_tree(path)

    def all(self) -> list[Kept]:
        found = []
        for name in os.listdir(self._idle):
            path = os.path.join(self._idle, name)
            try:
                found.append(Kept(name, path, os.stat(path).st_mtime_ns))
            except FileNotFoundError:
                continue
        return found

    def remove(self, name: str) -> None:
        with self._lock:
            discard_tree(os.path.join(self._idle, os.path.basename(name)))

    def _path(self, key: str) -> str:
        return os.path.join(self._idle, hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()[:32])

    def _evict(self) -> None:
        with self._lock:
            ages = {}
            for name in os.listdir(self._idle):
                ages[name] = time.time() - os.stat(os.path.join(self._idle, name)).st_mtime
            newest = sorted(ages, key=lambda name: ages[name])
            for name in [*newest[_MOST:], *(n for n in newest[:_MOST] if ages[n] > _LONGEST)]:
                discard_tree(os.path.join(self._idle, name))


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id")


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""
