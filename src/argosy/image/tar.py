"""Reading tar streams, never seeking.

A reader of our own, since headers are most of the work of laying down a layer and Python's tarfile
takes several times as long over each. It reads what occurs in images: ustar, PAX (POSIX.1-2001, with
SCHILY.xattr), GNU long names, base-256 numbers and GNU's four sparse formats. Names are bytes, as on
disk.

    512-byte header, contents padded to 512, …, two blocks of zeros
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol, runtime_checkable
from zlib import adler32

from argosy.errors import InvalidParameter

BLOCK = 512
CHUNK = 1 << 20
# As Go's archive/tar: what an extended header may hold at most.
_EXTENDED_LIMIT = 1 << 20
_ZEROS = bytes(BLOCK)
_ADLER = 65521
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2x32s32s8s8s155s12x")
_XATTR = b"SCHILY.xattr."

REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = (
    b"0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
)
# The old regular type, contiguous files and GNU's sparse files are regular files to everyone.
_REGULAR_TYPES = (b"\0", b"7", b"S")
_WITHOUT_CONTENT = (HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO)


class Source(Protocol):
    """Anything that is read from front to back. `b""` is the end."""

    def read(self, size: int, /) -> bytes: ...


class TarError(InvalidParameter):
    """The stream is no tar, or is damaged."""


class Entry:
    """A member's header. `stored` bytes of contents follow in the stream; the file is `size` long."""

    __slots__ = (
        "gid", "link", "major", "minor", "mode", "mtime", "name", "size", "sparse", "stored", "type",
        "uid", "xattrs",
    )  # fmt: skip

    name: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    stored: int
    # Nanoseconds.
    mtime: int
    link: bytes
    major: int
    minor: int
    xattrs: dict[bytes, bytes] | None
    # (offset, length) of the parts that are stored, the rest being holes.
    sparse: list[tuple[int, int]] | None


@runtime_checkable
class Skippable(Source, Protocol):
    """A source that need not be read to get on."""

    def skip(self, size: int, /) -> int:
        """How far it got: less than `size` at the end."""


class Stream:
    """A source in chunks, handed out as views into them: contents are copied once, by the kernel."""

    def __init__(self, source: Source, chunk_size: int = CHUNK) -> None:
        self._source = source
        self._skip = source.skip if isinstance(source, Skippable) else None
        self._chunk_size = chunk_size
        self._chunk = memoryview(b"")
        # Of the chunk in the stream, and in the chunk.
        self._base = 0
        self._position = 0

    @property
    def offset(self) -> int:
        """How far into the stream this is."""
        return self._base + self._position

    def _refill(self) -> bool:
        self._base += len(self._chunk)
        self._position = 0
        self._chunk = memoryview(self._source.read(self._chunk_size))
        return len(self._chunk) > 0

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises TarError at the end of the stream."""
        position = self._position
        end = position + size
        if end <= len(self._chunk):
            self._position = end
            return bytes(self._chunk[position:end])
        return b"".join(self.views(size))

    def take_or_end(self, size: int) -> bytes:
        """As `take`, but `b""` when the stream is over already."""
        if self._position == len(self._chunk) and not self._refill():
            return b""
        return self.take(size)

    def views(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes piece by piece. All of them must be consumed."""
        while size:
            if self._position == len(self._chunk) and not self._refill():
                raise TarError("unexpected EOF")
            position = self._position
            end = min(position + size, len(self._chunk))
            self._position = end
            size -= end - position
            yield self._chunk[position:end]

    def skip(self, size: int) -> None:
        beyond = self._position + size - len(self._chunk)
        if beyond <= 0:
            self._position += size
        elif self._skip is not None:
            self._base += len(self._chunk) + beyond
            self._chunk = memoryview(b"")
            self._position = 0
            if self._skip(beyond) < beyond:
                raise TarError("unexpected EOF")
        else:
            for _ in self.views(size):
                pass

    def drain(self) -> None:
        """To the end of the source, whatever is there."""
        self._chunk = memoryview(b"")
        self._position = 0
        while self._source.read(self._chunk_size):
            pass


class Contents:
    """What is stored of an entry, as a source of its own."""

    def __init__(self, views: Iterator[memoryview]) -> None:
        self._views = views
        self._view = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        if not self._view:
            self._view = next(self._views, self._view)
        data = bytes(self._view[:size])
        self._view = self._view[size:]
        return data


def padding(size: int) -> int:
    return -size % BLOCK


def is_header(block: bytes) -> bool:
    """Whether a tar can begin like this: a header with the right checksum, or the blocks of an empty one."""
    return len(block) == BLOCK and (block == _ZEROS or _checksum_is_right(block))


class TarReader:
    """Iterates over entries. Contents not read by `contents` are skipped."""

    def __init__(self, source: Source, chunk_size: int = CHUNK) -> None:
        self.stream = Stream(source, chunk_size)
        self._pending = 0
        self._defaults: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def contents(self, entry: Entry) -> Iterator[memoryview]:
        """What is stored of the entry just returned (for a sparse file: its parts, one after another)."""
        self._pending = padding(entry.stored)
        return self.stream.views(entry.stored)

    def open(self, entry: Entry) -> Contents:
        """The same as a source, which must be read to its end."""
        return Contents(self.contents(entry))

    def next(self) -> Entry | None:
        stream = self.stream
        extended: dict[bytes, bytes] = dict(self._defaults) if self._defaults else {}
        long_name = long_link = b""
        if self._pending:
            stream.skip(self._pending)
            self._pending = 0
        while True:
            block = stream.take_or_end(BLOCK)
            if not block:
                return None
            if block == _ZEROS:
                following = stream.take_or_end(BLOCK)
                if following and following != _ZEROS:
                    raise TarError("archive/tar: invalid tar header")
                return None
            if not _checksum_is_right(block):
                raise TarError("archive/tar: invalid tar header")
            kind = block[156:157]
            if kind in b"xgLKX":
                data = self._extension(_number(block[124:136]))
                if kind == b"g":
                    self._defaults.update(_pax(data))
                    extended = {**self._defaults, **extended}
                elif kind == b"L":
                    long_name = data.split(b"\0", 1)[0]
                elif kind == b"K":
                    long_link = data.split(b"\0", 1)[0]
                else:
                    extended.update(_pax(data))
                continue
            entry = _entry(block)
            if long_name:
                entry.name = long_name
            if long_link:
                entry.link = long_link
            if extended:
                _extend(entry, extended)
            if kind == b"S":
                self._old_sparse(entry, block)
            elif extended.get(b"GNU.sparse.major") == b"1":
                self._new_sparse(entry, extended)
            self._pending = entry.stored + padding(entry.stored)
            return entry

    def _extension(self, size: int) -> bytes:
        if size > _EXTENDED_LIMIT:
            raise TarError("archive/tar: header field too long")
        data = self.stream.take(size)
        self.stream.skip(padding(size))
        return data

    def _old_sparse(self, entry: Entry, block: bytes) -> None:
        """GNU's format of 1992: the map in the header, continued in blocks of its own."""
        parts = _sparse_fields(block[386:482])
        entry.size = _number(block[483:495])
        more = block[482]
        while more:
            block = self.stream.take(BLOCK)
            parts += _sparse_fields(block[:504])
            more = block[504]
        entry.sparse = _checked_sparse(parts, entry)

    def _new_sparse(self, entry: Entry, extended: dict[bytes, bytes]) -> None:
        """PAX format 1.0: the map as lines of decimals before the contents, padded to a block."""
        numbers: list[int] = []
        text = b""
        used = 0
        wanted = 1
        while len(numbers) < wanted:
            line, newline, rest = text.partition(b"\n")
            if not newline:
                if used >= min(entry.stored, _EXTENDED_LIMIT):
                    raise TarError("archive/tar: invalid tar header")
                text += self.stream.take(BLOCK)
                used += BLOCK
                continue
            text = rest
            numbers.append(_decimal(line))
            if len(numbers) == 1:
                wanted = 1 + 2 * numbers[0]
        entry.stored -= used
        entry.size = _decimal(extended.get(b"GNU.sparse.realsize", b"0"))
        entry.sparse = _checked_sparse(list(zip(numbers[1::2], numbers[2::2], strict=True)), entry)


def _checksum_is_right(block: bytes) -> bool:
    stated = block[148:156]
    try:
        expected = _number(stated)
    except TarError:
        return False
    # The field itself counts as blanks (8 times 32). The lower half of adler32 is one more than the sum
    # of all bytes, modulo a prime that is half as large as the sum can get: a fraction of the time.
    return (expected - 255 + sum(stated)) % _ADLER == adler32(block) & 0xFFFF


def _number(field: bytes) -> int:
    first = field[0]
    if first & 0x80:
        # GNU's base-256: two's complement in the bits below the mark.
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if first & 0x40 else value
    text = field.partition(b"\0")[0].strip()
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError:
        raise TarError("archive/tar: invalid tar header") from None


@lru_cache(maxsize=512)
def _repeated(field: bytes) -> int:
    """Modes and owners: an archive has few different ones."""
    return _number(field)


def _decimal(text: bytes) -> int:
    if not text.isdigit():
        raise TarError("archive/tar: invalid tar header")
    return int(text)


def _entry(block: bytes) -> Entry:
    name, mode, uid, gid, size, mtime, _, kind, link, magic, _, _, major, minor, prefix = _HEADER.unpack(
        block
    )
    entry = Entry()
    name = name.partition(b"\0")[0]
    if magic == b"ustar\0" and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    entry.name = name
    if kind in _REGULAR_TYPES:
        # Before ustar, a directory was a regular file whose name ends in a slash.
        kind = DIRECTORY if name.endswith(b"/") and kind == b"\0" else REGULAR
    entry.type = kind
    entry.mode = _repeated(mode)
    entry.uid = _repeated(uid)
    entry.gid = _repeated(gid)
    entry.size = _number(size)
    if entry.size < 0:
        raise TarError("archive/tar: invalid tar header")
    entry.stored = 0 if kind in _WITHOUT_CONTENT else entry.size
    entry.mtime = _number(mtime) * 1_000_000_000
    entry.link = link.partition(b"\0")[0]
    if kind in (CHARACTER, BLOCK_DEVICE):
        entry.major = _number(major)
        entry.minor = _number(minor)
    else:
        entry.major = entry.minor = 0
    entry.xattrs = None
    entry.sparse = None
    return entry


def _pax(data: bytes) -> dict[bytes, bytes]:
    """`LENGTH KEY=VALUE\\n` records, LENGTH counting the whole record. Values may hold anything."""
    records: dict[bytes, bytes] = {}
    position = 0
    sparse: list[bytes] = []
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        length = _decimal(data[position:space]) if space > 0 else 0
        end = position + length
        if length <= space - position or end > len(data) or data[end - 1] != 0x0A:
            raise TarError("archive/tar: invalid tar header")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals:
            raise TarError("archive/tar: invalid tar header")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            # Format 0.0 repeats these two; 0.1 writes the same as one list.
            sparse.append(value)
            records[b"GNU.sparse.map"] = b",".join(sparse)
        else:
            records[key] = value
        position = end
    return records


def _extend(entry: Entry, records: dict[bytes, bytes]) -> None:
    """An empty value means that the record is absent (POSIX)."""
    for key, value in records.items():
        if key.startswith(_XATTR):
            if entry.xattrs is None:
                entry.xattrs = {}
            entry.xattrs[key[len(_XATTR) :]] = value
        elif not value:
            continue
        elif key in (b"path", b"GNU.sparse.name"):
            if key == b"GNU.sparse.name" or b"GNU.sparse.name" not in records:
                entry.name = value
        elif key == b"linkpath":
            entry.link = value
        elif key == b"mtime":
            entry.mtime = _nanoseconds(value)
        elif key == b"uid":
            entry.uid = _decimal(value)
        elif key == b"gid":
            entry.gid = _decimal(value)
        elif key == b"size":
            entry.size = _decimal(value)
            if entry.type not in _WITHOUT_CONTENT:
                entry.stored = entry.size
    if b"GNU.sparse.map" in records:
        numbers = [_decimal(number) for number in records[b"GNU.sparse.map"].split(b",") if number]
        if len(numbers) % 2:
            raise TarError("archive/tar: invalid tar header")
        entry.size = _decimal(records.get(b"GNU.sparse.size", b"0"))
        entry.sparse = _checked_sparse(list(zip(numbers[::2], numbers[1::2], strict=True)), entry)


def _nanoseconds(text: bytes) -> int:
    """Seconds with a fraction of any length, before 1970 too."""
    whole, _, fraction = text.partition(b".")
    negative = whole.startswith(b"-")
    digits = whole.lstrip(b"-") or b"0"
    value = _decimal(digits) * 1_000_000_000 + _decimal((fraction + b"000000000")[:9])
    return -value if negative else value


def _sparse_fields(fields: bytes) -> list[tuple[int, int]]:
    parts = []
    for position in range(0, len(fields) - 23, 24):
        if not fields[position]:
            break
        parts.append(
            (_number(fields[position : position + 12]), _number(fields[position + 12 : position + 24]))
        )
    return parts


def _checked_sparse(parts: list[tuple[int, int]], entry: Entry) -> list[tuple[int, int]]:
    """The parts in order, without overlap, inside the file, and as long together as what is stored."""
    position = 0
    total = 0
    for offset, length in parts:
        if offset < position or length < 0:
            raise TarError("archive/tar: invalid tar header")
        position = offset + length
        total += length
    if position > entry.size or total != entry.stored:
        raise TarError("archive/tar: invalid tar header")
    return parts
