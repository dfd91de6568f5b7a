"""The directories behind `RUN --mount=type=cache`: they outlive builds and never become part of a layer."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argosy.linux.remove_tree import discard_tree, remove_tree


class CacheMounts:
    """Thread-safe. A directory for each id; `private` ones get another if it is in use."""

    def __init__(self, root: str) -> None:
        self._root = root
        os.makedirs(root, mode=0o700, exist_ok=True)
        self._changed = threading.Condition()
        self._users: dict[str, int] = {}
        self._exclusive: set[str] = set()

    @contextmanager
    def use(
        self, identifier: str, sharing: str, owner: tuple[int, int], mode: int
    ) -> Iterator[tuple[str, bool]]:
        """The directory for the length of a `with`, and whether it is new. `sharing`: shared, private or
        locked."""
        name = self._claim(_name(identifier), sharing)
        path = os.path.join(self._root, name)
        try:
            is_new = not os.path.isdir(path)
            if is_new:
                os.mkdir(path, 0o700)
                os.chown(path, *owner)
                os.chmod(path, mode)
            os.utime(path)
            yield path, is_new
        finally:
            self._release(name)

    def _claim(self, name: str, sharing: str) -> str:
        with self._changed:
            if sharing == "private":
                number = 0
                while self._users.get(chosen := f"{name}.{number}" if number else name):
                    number += 1
                name = chosen
            while name in self._exclusive or (sharing == "locked" and self._users.get(name)):
                self._changed.wait()
            self._users[name] = self._users.get(name, 0) + 1
            if sharing == "locked":
                self._exclusive.add(name)
            return name

    def _release(self, name: str) -> None:
        with self._changed:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
            self._exclusive.discard(name)
            self._changed.notify_all()

    def all(self) -> list[tuple[str, str, int]]:
        """(name, path, time of the last use in Unix nanoseconds)."""
        with os.scandir(self._root) as entries:
            return [(e.name, e.path, e.stat(follow_symlinks=False).st_mtime_ns) for e in entries]

    def in_use(self) -> set[str]:
        with self._changed:
            return set(self._users)

    def remove(self, name: str) -> bool:
        """Unless it is in use."""
        with self._changed:
            if self._users.get(name):
                return False
            # Under another name first, so that whoever wants it from here on gets a new one.
            doomed = os.path.join(self._root, f".{name}.{os.urandom(4).hex()}")
            os.rename(os.path.join(self._root, name), doomed)
        remove_tree(doomed)
        return True

    def clean(self) -> None:
        """Remove what a removal that was cut off has left."""
        for name, path, _ in self.all():
            if name.startswith("."):
                discard_tree(path)


def _name(identifier: str) -> str:
    return hashlib.sha256(identifier.encode(errors="surrogateescape")).hexdigest()[:40]
