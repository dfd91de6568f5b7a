"""Layers compressed on their way out: gzip whose bytes depend on nothing but the content."""

import struct
import zlib
from collections.abc import Iterator

from isal import isal_zlib

from argosy.image.tar import Source

CHUNK = 1 << 20
# Deflate, no flags, no time, no hint, an unknown system (RFC 1952).
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_LEVEL = 3
_RAW_DEFLATE = -zlib.MAX_WBITS


def gzipped(source: Source) -> Iterator[bytes]:
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    checksum = size = 0
    pending = [_HEADER]
    length = len(_HEADER)
    while data := source.read(CHUNK):
        checksum = isal_zlib.crc32(data, checksum)
        size += len(data)
        piece = compressor.compress(data)
        pending.append(piece)
        length += len(piece)
        if length >= CHUNK:
            yield b"".join(pending)
            pending, length = [], 0
    pending += [compressor.flush(), struct.pack("<II", checksum, size & 0xFFFFFFFF)]
    yield b"".join(pending)
