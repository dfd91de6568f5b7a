"""The log of a container: frames appended to a file, rotated by size. One writer, any readers.

A frame is what one read from the container's stdout or stderr gave, so a busy container costs a frame
per 64 KiB and not one per line:

    magic u8 = 0xA6 | stream u8 | reserved u16 | length u32 | time u64 | payload | length u32

Little-endian; stream is 1 for stdout, 2 for stderr; time is Unix time in nanoseconds. The length at the
end lets a reader walk backwards. A frame is complete when all its bytes are there: a reader that finds
part of one waits, and a writer that opens a file whose last frame is torn (the machine lost power) cuts
it off.

The current file is `container.log`; `container.log.1` is the one before it, and so on.
"""

import os
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

MAGIC = 0xA6
STDOUT, STDERR = 1, 2
_HEADER = struct.Struct("<BBHIQ")
_TRAILER = struct.Struct("<I")
OVERHEAD = _HEADER.size + _TRAILER.size
FILE_NAME = "container.log"


class Frame(NamedTuple):
    stream: int
    time: int
    payload: bytes


def path_of(directory: str, age: int = 0) -> str:
    return f"{directory}/{FILE_NAME}" + (f".{age}" if age else "")


class Writer:
    """Appends frames. A full disk loses log, never a container: what could not be written is counted."""

    __slots__ = ("_descriptor", "_directory", "_max_files", "_max_size", "_size", "lost")

    def __init__(self, directory: str, max_size: int, max_files: int) -> None:
        """`max_size` in bytes, 0 for no rotation. Raises OSError."""
        self._directory = directory
        self._max_size = max_size
        self._max_files = max_files
        self.lost = 0
        self._open()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path_of(self._directory), flags, 0o640)
        self._size = _complete_size(self._descriptor)
        os.ftruncate(self._descriptor, self._size)
        os.lseek(self._descriptor, self._size, os.SEEK_SET)

    def write(self, stream: int, payload: bytes) -> None:
        header = _HEADER.pack(MAGIC, stream, 0, len(payload), time.time_ns())
        total = len(payload) + OVERHEAD
        try:
            if self._max_size and self._size and self._size + total > self._max_size:
                self._rotate()
            written = os.writev(self._descriptor, (header, payload, _TRAILER.pack(len(payload))))
        except OSError:
            written = -1
        if written == total:
            self._size += total
            return
        self.lost += len(payload)
        os.ftruncate(self._descriptor, self._size)
        os.lseek(self._descriptor, self._size, os.SEEK_SET)

    def _rotate(self) -> None:
        """Always to a new file, never by truncating one: whoever reads the old one reads it to its end."""
        for age in range(self._max_files - 2, -1, -1):
            try:
                os.rename(path_of(self._directory, age), path_of(self._directory, age + 1))
            except FileNotFoundError:
                continue
        if self._max_files == 1:
            os.unlink(path_of(self._directory))
        old = self._descriptor
        self._open()
        os.close(old)

    def close(self) -> None:
        os.close(self._descriptor)


def _complete_size(descriptor: int) -> int:
    """The end of the last complete frame."""
    position = 0
    end = os.fstat(descriptor).st_size
    if end >= OVERHEAD:
        # The usual case: the last frame is whole, and its own length leads to its header.
        length: int = _TRAILER.unpack(os.pread(descriptor, 4, end - 4))[0]
        start = end - length - OVERHEAD
        if start >= 0:
            magic, _, _, stated, _ = _HEADER.unpack(os.pread(descriptor, _HEADER.size, start))
            if magic == MAGIC and stated == length:
                return end
    while True:
        header = os.pread(descriptor, _HEADER.size, position)
        if len(header) < _HEADER.size:
            return position
        magic, _, _, length, _ = _HEADER.unpack(header)
        if magic != MAGIC or position + length + OVERHEAD > end:
            return position
        position += length + OVERHEAD


def read_frames(descriptor: int, position: int) -> Iterator[tuple[int, Frame]]:
    """Each complete frame from `position` on, with the position after it."""
    while True:
        header = os.pread(descriptor, _HEADER.size, position)
        if len(header) < _HEADER.size:
            return
        magic, stream, _, length, stamp = _HEADER.unpack(header)
        if magic != MAGIC:
            raise ValueError(f"log frame at {position} is damaged")
        body = os.pread(descriptor, length + 4, position + _HEADER.size)
        if len(body) < length + 4:
            return
        position += length + OVERHEAD
        yield position, Frame(stream, stamp, body[:length])


def position_of_tail(descriptor: int, lines: int, streams: tuple[int, ...]) -> int:
    """Where to begin reading so that at least the last `lines` lines of `streams` follow, or 0."""
    position = _complete_size(descriptor)
    found = 0
    first = True
    while position > 0:
        (length,) = _TRAILER.unpack(os.pread(descriptor, 4, position - 4))
        start = position - length - OVERHEAD
        if start < 0:
            return 0
        header = os.pread(descriptor, _HEADER.size, start)
        _, stream, _, _, _ = _HEADER.unpack(header)
        if stream in streams:
            payload = os.pread(descriptor, length, start + _HEADER.size)
            count = payload.count(b"\n")
            if first:
                # A last line without its line break is a line too.
                count += not payload.endswith(b"\n")
                first = False
            found += count
            if found > lines:
                return int(start)
        position = start
    return 0
