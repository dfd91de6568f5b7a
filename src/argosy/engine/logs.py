"""Reading a container's log: back from its end, from a moment on, and as it grows."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.linux import inotify
from argosy.runtime import logfile
from argosy.runtime.logfile import STDERR, STDOUT, Frame
from argosy.units import rfc3339_fixed
from argosy.wire import stdstream

_BATCH = 1 << 20
# The shim closes a log after its process has ended; what it wrote last may come a moment later.
_POLL = 1.0
_FIRST = asyncio.FIRST_COMPLETED


@dataclass(frozen=True)
class Query:
    """`since` and `until` in Unix nanoseconds, 0 for none; `tail` in lines, -1 for all."""

    stdout: bool
    stderr: bool
    follow: bool = False
    timestamps: bool = False
    since: int = 0
    until: int = 0
    tail: int = -1

    @property
    def streams(self) -> tuple[int, ...]:
        return tuple(number for number, on in ((STDOUT, self.stdout), (STDERR, self.stderr)) if on)


class _Renderer:
    """Frames of the log to bytes for the client."""

    def __init__(self, query: Query, *, terminal: bool) -> None:
        self._query = query
        self._terminal = terminal
        self._at_line_start = {STDOUT: True, STDERR: True}

    def render(self, frame: Frame) -> bytes:
        if frame.stream not in self._query.streams:
            return b""
        payload = frame.payload
        if self._query.timestamps:
            payload = self._stamped(frame)
        return payload if self._terminal else stdstream.frame(frame.stream, payload)

    def _stamped(self, frame: Frame) -> bytes:
        stamp = rfc3339_fixed(frame.time).encode() + b" "
        lines = (
            frame.payload.splitlines(keepends=True) if b"\r" not in frame.payload else _split(frame.payload)
        )
        first = b"" if not self._at_line_start[frame.stream] else stamp
        self._at_line_start[frame.stream] = frame.payload.endswith(b"\n")
        return first + stamp.join(lines)


def _split(payload: bytes) -> list[bytes]:
    """At line feeds only."""
    parts = payload.split(b"\n")
    lines = [part + b"\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


class Reader:
    """Walks over a log's files in order, rotated ones first. Not for the event loop's thread."""

    def __init__(self, directory: str, query: Query, *, terminal: bool) -> None:
        self._directory = directory
        self._query = query
        self._renderer = _Renderer(query, terminal=terminal)
        self._files: list[int] = []
        self._position = 0
        self._skip_lines = 0
        self.done = False
        self._is_open = False

    def _open(self) -> None:
        """Every file there is, oldest first. Rotation may go on meanwhile: a file that is open stays."""
        age = 0
        found: list[int] = []
        identities = set()
        while True:
            try:
                descriptor = os.open(logfile.path_of(self._directory, age), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                break
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) in identities:
                os.close(descriptor)
            else:
                identities.add((status.st_dev, status.st_ino))
                found.append(descriptor)
            age += 1
        self._files = found[::-1]
        if self._query.tail >= 0:
            self._seek_tail()

    def _seek_tail(self) -> None:
        """Begin so that `tail` lines follow, in as few files as they need."""
        wanted = self._query.tail
        for number in range(len(self._files) - 1, -1, -1):
            lines = _count_lines(self._files[number], self._query.streams)
            if lines >= wanted or number == 0:
                for passed in self._files[:number]:
                    os.close(passed)
                self._files = self._files[number:]
                start = logfile.position_of_tail(self._files[0], wanted, self._query.streams)
                self._position = start
                after = _count_lines(self._files[0], self._query.streams, start)
                self._skip_lines = max(0, after - wanted)
                return
            wanted -= lines

    def read(self) -> bytes:
        """What is there beyond what was read, up to a megabyte; empty when there is nothing new."""
        if not self._is_open:
            self._is_open = True
            self._open()
        parts: list[bytes] = []
        size = 0
        while size < _BATCH and not self.done and (self._files or self._rotated()):
            advanced = False
            for frame in self._frames(self._files[0]):
                advanced = True
                data = self._chosen(frame)
                parts.append(data)
                size += len(data)
                if size >= _BATCH or self.done:
                    break
            if advanced:
                continue
            if len(self._files) > 1:
                os.close(self._files.pop(0))
                self._position = 0
            elif not self._rotated():
                break
        return b"".join(parts)

    def _frames(self, descriptor: int) -> Iterator[Frame]:
        for position, frame in logfile.read_frames(descriptor, self._position):
            self._position = position
            yield frame

    def _chosen(self, frame: Frame) -> bytes:
        if self._query.until and frame.time > self._query.until:
            self.done = True
            return b""
        if self._skip_lines and frame.stream in self._query.streams:
            lines = _split(frame.payload)
            skipped = min(self._skip_lines, len(lines))
            self._skip_lines -= skipped
            rest = b"".join(lines[skipped:])
            if not rest:
                return b""
            frame = frame._replace(payload=rest)
        # After the tail has been counted off: of its lines, those that are new enough (as moby does).
        if frame.time < self._query.since:
            return b""
        return self._renderer.render(frame)

    def _rotated(self) -> bool:
        """Whether there are files newer than the one that was read last; then go on with these."""
        newer: list[int] = []
        age = 0
        while True:
            try:
                descriptor = os.open(logfile.path_of(self._directory, age), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                break
            if self._files and os.path.sameopenfile(descriptor, self._files[-1]):
                os.close(descriptor)
                break
            newer.append(descriptor)
            age += 1
        if not self._files:
            self._position = 0
        self._files += reversed(newer)
        return bool(newer)

    def close(self) -> None:
        for descriptor in self._files:
            os.close(descriptor)
        self._files = []


def _count_lines(descriptor: int, streams: tuple[int, ...], start: int = 0) -> int:
    count = 0
    open_line = False
    for _, frame in logfile.read_frames(descriptor, start):
        if frame.stream in streams and frame.payload:
            count += frame.payload.count(b"\n")
            open_line = not frame.payload.endswith(b"\n")
    return count + open_line


async def read(engine: Engine, container: Container, query: Query) -> AsyncGenerator[bytes, None]:
    """The log as the client wants it, in parts. With `follow` until the container ends or goes. Close it."""
    directory = engine.directory(container)
    watch = (
        inotify.watch(directory, inotify.IN_MODIFY | inotify.IN_CREATE | inotify.IN_MOVED_TO)
        if query.follow
        else -1
    )
    changed = asyncio.Event()
    if watch >= 0:
        engine.loop.add_reader(watch, _note, watch, changed)
    reader = Reader(directory, query, terminal=container.terminal)
    try:
        while True:
            alive = container.status.is_running()
            exited = container.next_exit() if alive and query.follow else None
            changed.clear()
            while data := await engine.to_its_end(engine.in_thread(reader.read)):
                yield data
            if exited is None or reader.done:
                return
            waiting = asyncio.ensure_future(changed.wait())
            both: list[asyncio.Future[Any]] = [waiting, exited]
            await asyncio.wait(both, timeout=_POLL, return_when=_FIRST)
            waiting.cancel()
    finally:
        reader.close()
        if watch >= 0:
            engine.loop.remove_reader(watch)
            os.close(watch)


def _note(watch: int, changed: asyncio.Event) -> None:
    inotify.drain(watch)
    changed.set()
