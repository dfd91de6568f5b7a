"""The `local` volume driver.

A volume is a directory `<root>/<name>/_data` and a row. The directory is made before the row is
written and removed after it is deleted, so a row always has its directory; a directory without a row
is what a crash left, and goes at the next start. Volumes are never deleted while a container refers to
them: that is the caller's to know, by `in_use`.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from argosy.database import Database
from argosy.errors import Conflict, InvalidParameter, NotFound
from argosy.ids import NAME, new_id
from argosy.linux.private import make_readable
from argosy.linux.remove_tree import remove_tree
from argosy.volume import options as volume_options

ANONYMOUS_LABEL = "com.docker.volume.anonymous"

_TABLE = """
CREATE TABLE IF NOT EXISTS volumes (
    name TEXT PRIMARY KEY, created INTEGER NOT NULL, labels TEXT NOT NULL, options TEXT NOT NULL
) WITHOUT ROWID;
"""


class Volume(NamedTuple):
    """`created` in Unix nanoseconds; `path` is what gets mounted."""

    name: str
    created: int
    labels: dict[str, str]
    options: dict[str, str]
    path: str

    @property
    def anonymous(self) -> bool:
        return ANONYMOUS_LABEL in self.labels


class VolumeStore:
    """Thread-safe; writes block, so call them in a thread."""

    def __init__(self, root: str, database: Database) -> None:
        self._root = root
        self._database = database
        self._lock = threading.Lock()
        self._volumes: dict[str, Volume] = {}
        os.makedirs(root, mode=0o700, exist_ok=True)
        database.define(_TABLE)
        for name, created, labels, options in database.read(
            "SELECT name, created, labels, options FROM volumes"
        ):
            self._volumes[str(name)] = Volume(
                str(name),
                int(str(created)),
                msgspec.json.decode(str(labels), type=dict[str, str]),
                msgspec.json.decode(str(options), type=dict[str, str]),
                self._path(str(name)),
            )
        for entry in os.listdir(root):
            if entry not in self._volumes and not volume_options.is_mounted(self._path(entry)):
                remove_tree(os.path.join(root, entry))

    def _path(self, name: str) -> str:
        return os.path.join(self._root, name, "_data")

    def get(self, name: str) -> Volume:
        """Raises NotFound."""
        try:
            return self._volumes[name]
        except KeyError:
            raise NotFound(f"get {name}: no such volume") from None

    def exists(self, name: str) -> bool:
        return name in self._volumes

    def all(self) -> list[Volume]:
        return sorted(self._volumes.values())

    def create(
        self, name: str = "", labels: dict[str, str] | None = None, options: dict[str, str] | None = None
    ) -> tuple[Volume, bool]:
        """The volume, and whether it is new. Idempotent. Raises InvalidParameter, Conflict."""
        anonymous = not name
        name = name or new_id()
        if len(name) == 1:
            raise InvalidParameter(
                f"create {name}: volume name is too short, names should be at least two alphanumeric "
                "characters"
            )
        if not NAME.match(name):
            raise InvalidParameter(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use '
                "absolute path"
            )
        if options:
            volume_options.check(name, options)
        with self._lock:
            existing = self._volumes.get(name)
            if existing is not None:
                return existing, False
            kept = dict(labels or {})
            if anonymous:
                kept[ANONYMOUS_LABEL] = ""
            ordered = dict(sorted((options or {}).items()))
            volume = Volume(name, time.time_ns(), dict(sorted(kept.items())), ordered, self._path(name))
            make_readable(volume.path)
            row = (name, volume.created, _encoded(kept), _encoded(volume.options))
            self._database.write(
                lambda connection: connection.execute("INSERT INTO volumes VALUES (?, ?, ?, ?)", row),
                durable=not anonymous,
            )
            self._volumes[name] = volume
            return volume, True

    def remove(self, name: str, in_use: Callable[[str], list[str]]) -> None:
        """Raises NotFound, Conflict."""
        with self._lock:
            volume = self.get(name)
            users = in_use(name)
            if users:
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            # Before its row goes: what is mounted here is not the volume's to delete.
            self._let_go(volume)

            def delete(connection: sqlite3.Connection) -> None:
                connection.execute("DELETE FROM volumes WHERE name = ?", (name,))

            self._database.write(delete, durable=not volume.anonymous)
            del self._volumes[name]
            remove_tree(os.path.join(self._root, name))

    def is_mount(self, name: object) -> bool:
        """Whether its options name something to be mounted."""
        volume = self._volumes.get(name) if isinstance(name, str) else None
        return volume is not None and bool(volume.options)

    def attach(self, name: str) -> None:
        """Mount what its options name, if any. Idempotent. Raises ArgosyError."""
        volume = self._volumes.get(name)
        if volume is not None and volume.options:
            with self._lock:
                volume_options.attach(volume.path, volume.options)

    def detach(self, name: str) -> None:
        """Unmount it again. Idempotent. Raises Conflict while somebody is inside."""
        volume = self._volumes.get(name)
        if volume is not None and volume.options:
            with self._lock:
                self._let_go(volume)

    @staticmethod
    def _let_go(volume: Volume) -> None:
        if not volume.options:
            return
        try:
            volume_options.detach(volume.path)
        except OSError as error:
            raise Conflict(f"volume {volume.name} cannot be unmounted: {error.strerror}") from None


def _encoded(labels: dict[str, str]) -> str:
    return msgspec.json.encode(labels).decode()
