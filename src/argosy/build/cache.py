"""The build cache: which layer a step made, by the step's key.

A key is a digest of all that the layer depends on, so a record is never wrong, only unneeded. It keeps the
layer from the collector until it is pruned. What uses it, and when, is written lazily: a power cut may
lose the last uses, and a record whose layer is gone counts as none.
"""

import sqlite3
import threading
import time
from collections.abc import Collection, Iterable

import msgspec

from argosy.database import Database
from argosy.image import digest as digests

_TABLES = """
CREATE TABLE IF NOT EXISTS build_cache (key TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS build_mounts (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS build_history (id TEXT PRIMARY KEY, started INTEGER NOT NULL, record BLOB NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS build_listings
    (digest TEXT PRIMARY KEY, made INTEGER NOT NULL, listing BLOB NOT NULL) WITHOUT ROWID;
"""
_LISTINGS = 200
_encode = msgspec.json.Encoder().encode


class Record(msgspec.Struct):
    """Times in Unix nanoseconds, `size` in bytes. `diff_ids` are all layers up to the step's own.

    `parts` says what the key was made of, for people who ask why it was another.
    """

    key: str
    id: str
    diff_ids: tuple[str, ...]
    kind: str
    description: str
    created: int
    last_used: int
    size: int
    uses: int = 1
    seconds: float = 0.0
    parts: dict[str, str] = {}

    @property
    def diff_id(self) -> str:
        return self.diff_ids[-1] if self.diff_ids else ""


class BuildCache:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        database.define(_TABLES)
        self._records: dict[str, Record] = {}
        for _, data in database.read("SELECT key, record FROM build_cache"):
            assert isinstance(data, bytes)
            record = msgspec.json.decode(data, type=Record)
            self._records[record.key] = record

    def get(self, key: str) -> Record | None:
        return self._records.get(key)

    def put(self, record: Record) -> None:
        with self._lock:
            self._records[record.key] = record
        row = (record.key, _encode(record))

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO build_cache VALUES (?, ?)", row)

        self._database.submit(write, durable=False)

    def use(self, keys: Iterable[str]) -> None:
        """They were of use just now."""
        now = time.time_ns()
        rows = []
        with self._lock:
            for key in keys:
                record = self._records.get(key)
                if record is not None:
                    record.last_used, record.uses = now, record.uses + 1
                    rows.append((key, _encode(record)))

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO build_cache VALUES (?, ?)", rows)

        if rows:
            self._database.submit(write, durable=False)

    def all(self) -> list[Record]:
        with self._lock:
            return list(self._records.values())

    def remove(self, keys: Collection[str]) -> None:
        with self._lock:
            for key in keys:
                self._records.pop(key, None)
        rows = [(key,) for key in keys]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM build_cache WHERE key = ?", rows)

        self._database.write(write)

    def roots(self) -> set[str]:
        """What must stay: the layers of every record, and the snapshots that they stand as."""
        found: set[str] = set()
        with self._lock:
            stacks = {record.diff_ids for record in self._records.values()}
        for stack in stacks:
            found.update(stack)
            found.update(digests.chain_ids(list(stack))[-1:])
        return found

    # Past builds

    def remember(self, identifier: str, started: int, record: object, keep: int) -> None:
        row = (identifier, started, _encode(record))

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO build_history VALUES (?, ?, ?)", row)
            connection.execute(
                "DELETE FROM build_history WHERE id NOT IN "
                "(SELECT id FROM build_history ORDER BY started DESC LIMIT ?)",
                (keep,),
            )

        self._database.submit(write, durable=False)

    def has_build(self, identifier: str) -> bool:
        return bool(self._database.read("SELECT 1 FROM build_history WHERE id = ?", (identifier,)))

    def forget_build(self, identifier: str) -> None:
        self._database.write(
            lambda connection: connection.execute("DELETE FROM build_history WHERE id = ?", (identifier,)),
            durable=False,
        )

    def history(self) -> list[bytes]:
        """The newest first, as they were encoded."""
        rows = self._database.read("SELECT record FROM build_history ORDER BY started DESC")
        return [row[0] for row in rows if isinstance(row[0], bytes)]

    def keep_listing(self, digest: str, listing: bytes) -> None:
        """What files a digest stands for; the last few are kept."""
        row = (digest, time.time_ns(), listing)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO build_listings VALUES (?, ?, ?)", row)
            connection.execute(
                "DELETE FROM build_listings WHERE digest NOT IN "
                "(SELECT digest FROM build_listings ORDER BY made DESC LIMIT ?)",
                (_LISTINGS,),
            )

        self._database.submit(write, durable=False)

    def listing(self, digest: str) -> bytes | None:
        rows = self._database.read("SELECT listing FROM build_listings WHERE digest = ?", (digest,))
        found = next((row[0] for row in rows), None)
        return found if isinstance(found, bytes) else None
