"""RPM's database of installed packages: a table of headers in SQLite (rpm.org, "RPM V4 Package format").

    header   count of entries, size of data; entries; data
    entry    tag, type, offset into the data, count

The database is somebody else's work: nothing in it is executed, and only so much of it is looked at.
"""

import contextlib
import sqlite3
import struct
from collections.abc import Iterator
from typing import NamedTuple

from argosy.errors import InvalidParameter

_NAME, _VERSION, _RELEASE, _EPOCH, _LICENCE, _ARCHITECTURE = 1000, 1001, 1002, 1003, 1014, 1022
_INT32, _TEXTS = 4, (6, 8, 9)
_LONGEST_TEXT = 512
_MOST_ENTRIES = 10_000
_LARGEST_HEADER = 16 << 20
# SQLite's instructions; a large distribution's database takes about a million.
_MOST_WORK = 50_000_000
_STEP = 1_000_000
_HEAD, _ENTRY = struct.Struct(">II"), struct.Struct(">IIiI")
# Where a database says that it has a journal beside it, which in memory it has not.
_JOURNAL, _NO_JOURNAL = slice(18, 20), b"\x01\x01"


class RpmPackage(NamedTuple):
    name: str
    version: str
    epoch: str
    architecture: str
    licence: str


def installed(database: bytes) -> Iterator[RpmPackage]:
    """Raises InvalidParameter for what is no such database."""
    data = bytearray(database)
    data[_JOURNAL] = _NO_JOURNAL
    work = iter(range(0, _MOST_WORK, _STEP))
    try:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(bytes(data))
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_HEADER)
            connection.set_progress_handler(lambda: next(work, None) is None, _STEP)
            connection.execute("PRAGMA trusted_schema = OFF")
            # A view or a virtual table has no pages of its own.
            where = "type = 'table' AND name = 'Packages' AND rootpage > 0"
            if connection.execute(f"SELECT 1 FROM sqlite_master WHERE {where}").fetchone() is None:
                raise InvalidParameter("the RPM database has no packages")
            for (header,) in connection.execute("SELECT blob FROM Packages"):
                if isinstance(header, bytes) and (package := _package(header)) is not None:
                    yield package
    except (sqlite3.Error, MemoryError) as error:
        raise InvalidParameter(f"invalid RPM database: {error}") from None


def _package(header: bytes) -> RpmPackage | None:
    """None for a header that is damaged, or has no name."""
    try:
        fields = _fields(header)
    except struct.error:
        return None
    name = fields.get(_NAME, "")
    if not name:
        return None
    version = "-".join(part for part in (fields.get(_VERSION, ""), fields.get(_RELEASE, "")) if part)
    return RpmPackage(
        name, version, fields.get(_EPOCH, ""), fields.get(_ARCHITECTURE, ""), fields.get(_LICENCE, "")
    )


def _fields(header: bytes) -> dict[int, str]:
    """Those that are wanted. Raises struct.error."""
    count, _ = _HEAD.unpack_from(header)
    start = _HEAD.size + count * _ENTRY.size
    found = {}
    for number in range(min(count, _MOST_ENTRIES)):
        tag, kind, offset, _ = _ENTRY.unpack_from(header, _HEAD.size + number * _ENTRY.size)
        if tag not in (_NAME, _VERSION, _RELEASE, _EPOCH, _LICENCE, _ARCHITECTURE) or offset < 0:
            continue
        if kind == _INT32:
            found[tag] = str(struct.unpack_from(">I", header, start + offset)[0])
        elif kind in _TEXTS:
            text = header[start + offset : start + offset + _LONGEST_TEXT].partition(b"\0")[0]
            found[tag] = text.decode(errors="replace")
    return found
