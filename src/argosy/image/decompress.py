"""Streams that may be compressed, told apart by their first bytes.

Reads are bounded by what is asked for, however much a few bytes may inflate to.
"""

import bz2
import lzma
from collections.abc import Callable
from typing import Protocol

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

from argosy.errors import InvalidParameter
from argosy.image.hashing import Hasher
from argosy.image.tar import Source

CHUNK = 1 << 20
PLAIN, GZIP, ZSTD, XZ, BZIP2 = "", "gzip", "zstd", "xz", "bzip2"
_MAGIC = {b"\x1f\x8b\x08": GZIP, b"\x28\xb5\x2f\xfd": ZSTD, b"\xfd7zXZ\0": XZ, b"BZh": BZIP2}
_LONGEST_MAGIC = 6
_GZIP_WRAPPER = 31
# As the zstd command's limit with --long=31: a window that a layer may ask for.
_ZSTD_WINDOW = 1 << 31


def compression_of(head: bytes) -> str:
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), PLAIN)


def sniff(source: Source) -> tuple[str, Source]:
    """(the compression, the source as it was)."""
    head = b""
    while len(head) < _LONGEST_MAGIC and (data := source.read(CHUNK)):
        head += data
    return compression_of(head), Prefixed(head, source)


def decompressed(kind: str, source: Source) -> Source:
    """What is inside. Damage is an InvalidParameter while reading."""
    if kind == GZIP:
        return _Inflated(source)
    if kind == ZSTD:
        return _Zstd(source)
    if kind == XZ:
        return _Unpacked(source, _new_xz)
    if kind == BZIP2:
        return _Unpacked(source, bz2.BZ2Decompressor)
    return source


def open_decompressed(source: Source) -> Source:
    """The content of a source that may be compressed."""
    return decompressed(*sniff(source))


class Prefixed:
    """A source with something already read put back before it."""

    def __init__(self, head: bytes, source: Source) -> None:
        self._head = head
        self._source = source

    def read(self, size: int, /) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._source.read(size)


class Hashed:
    """A source that hashes and counts what passes, and reports how far it is. Close it."""

    def __init__(self, source: Source, report: Callable[[int], object] | None = None) -> None:
        self._source = source
        self._report = report
        self._hasher = Hasher()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._hasher.digest

    def close(self) -> None:
        self._hasher.close()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._hasher.update(data)
        self.size += len(data)
        if self._report is not None and data:
            self._report(self.size)
        return data


class _Inflated:
    """gzip, any number of members one after another (pigz and eStargz write several)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._inflater = _new_gzip()
        self._input = b""
        self._started = False

    def read(self, size: int, /) -> bytes:
        while True:
            if not self._input:
                self._input = self._source.read(CHUNK)
            if not self._started and not self._input.strip(b"\0"):
                # The end, or the zeros that tapes put after it.
                if not self._input:
                    return b""
                self._input = b""
                continue
            ended = not self._input
            self._started = True
            try:
                data = self._inflater.decompress(self._input, size)
            # The stub of isal calls the class an instance.
            except (IsalError, ValueError) as error:  # type: ignore[misc]
                raise InvalidParameter(f"gzip: invalid data: {error}") from None
            if self._inflater.eof:
                self._input = self._inflater.unused_data
                self._inflater = _new_gzip()
                self._started = False
            else:
                self._input = self._inflater.unconsumed_tail
                if ended and not data:
                    raise InvalidParameter("unexpected EOF")
            if data:
                return data


class _Inflater(Protocol):
    eof: bool
    unused_data: bytes
    unconsumed_tail: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _new_gzip() -> _Inflater:
    inflater: _Inflater = isal_zlib.decompressobj(_GZIP_WRAPPER)
    return inflater


class _Zstd:
    def __init__(self, source: Source) -> None:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._reader = decompressor.stream_reader(source, read_size=CHUNK, read_across_frames=True)  # type: ignore[arg-type]

    def read(self, size: int, /) -> bytes:
        try:
            return self._reader.read(size)
        except zstandard.ZstdError as error:
            raise InvalidParameter(f"zstd: invalid data: {error}") from None


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _new_xz() -> _Decompressor:
    return lzma.LZMADecompressor()


class _Unpacked:
    """xz and bzip2, whose decompressors keep their own input; several streams one after another."""

    def __init__(self, source: Source, new: Callable[[], _Decompressor]) -> None:
        self._source = source
        self._new = new
        self._decompressor = new()
        self._input = b""
        self._fresh = True

    def read(self, size: int, /) -> bytes:
        while True:
            decompressor = self._decompressor
            if decompressor.eof:
                self._input = decompressor.unused_data
                self._decompressor = decompressor = self._new()
                self._fresh = True
            if decompressor.needs_input and not self._input:
                self._input = self._source.read(CHUNK)
                if not self._input:
                    if self._fresh:
                        return b""
                    raise InvalidParameter("unexpected EOF")
            if self._fresh and not self._input.strip(b"\0"):
                self._input = b""
                continue
            try:
                data = decompressor.decompress(self._input, size)
            except (lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise InvalidParameter(f"invalid compressed data: {error}") from None
            self._input = b""
            self._fresh = False
            if data:
                return data
