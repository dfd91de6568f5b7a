"""The builder's events as the progress that BuildKit's clients draw.

What nobody has read yet waits on a board, so a client may ask before the build begins or a moment after it
has ended. While a client reads, a build goes no faster than it reads.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Iterator

from argosy.api.buildkit.connection import Call
from argosy.build.progress import Began, Counted, Ended, Event, Said, Warned
from argosy.spec.buildkit import (
    Position,
    Range,
    SourceInfo,
    StatusResponse,
    Timestamp,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
)
from argosy.wire import protobuf

_MOST_WAITING = 4 << 20
_NANOSECONDS = 1_000_000_000


def timestamp(nanoseconds: int) -> Timestamp:
    return Timestamp(*divmod(nanoseconds, _NANOSECONDS))


class Translation:
    """One build's. `ref` tells its vertices apart from those of other builds."""

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._vertices: dict[int, Vertex] = {}
        self._counted: dict[tuple[int, str], Timestamp] = {}
        # The Dockerfile, and the vertex that warnings about it are shown with.
        self.source: SourceInfo | None = None
        self.source_vertex = 0
        self.total = self.cached = self.completed = self.warnings = 0

    def digest(self, number: int) -> str:
        return "sha256:" + hashlib.sha256(f"{self._ref}\0{number}".encode()).hexdigest()

    def respond(self, event: Event, offset: int = 0) -> StatusResponse:
        """`offset` is added to the numbers of steps."""
        match event:
            case Began():
                inputs = [self.digest(number + offset) for number in event.inputs]
                digest = self.digest(event.number + offset)
                vertex = Vertex(digest, inputs, event.name, started=timestamp(event.time))
                self._vertices[event.number + offset] = vertex
                self.total += 1
                return StatusResponse(vertexes=[vertex])
            case Ended():
                return StatusResponse(vertexes=[self._ended(event, offset)])
            case Said():
                digest = self.digest(event.number + offset)
                log = VertexLog(digest, timestamp(event.time), event.stream, event.data)
                return StatusResponse(logs=[log])
            case Counted():
                return StatusResponse(statuses=[self._status(event, offset)])
            case Warned():
                self.warnings += 1
                return StatusResponse(warnings=[self._warning(event)])

    def _ended(self, event: Ended, offset: int) -> Vertex:
        begun = self._vertices.pop(event.number + offset)
        self.cached += event.cached
        self.completed += not event.error
        return Vertex(
            begun.digest,
            begun.inputs,
            begun.name,
            event.cached,
            begun.started,
            timestamp(event.time),
            event.error,
        )

    def _status(self, event: Counted, offset: int) -> VertexStatus:
        moment = timestamp(event.time)
        key = (event.number + offset, event.id)
        return VertexStatus(
            event.id,
            self.digest(event.number + offset),
            event.id,
            event.current,
            event.total,
            moment,
            self._counted.setdefault(key, moment),
            moment if event.done else None,
        )

    def _warning(self, event: Warned) -> VertexWarning:
        warning = VertexWarning(self.digest(self.source_vertex), 1, event.message.encode(), url=event.url)
        if event.detail:
            warning.detail = [event.detail.encode()]
        if event.first_line and self.source is not None:
            warning.info = self.source
            warning.ranges = [lines(event.first_line, event.last_line)]
        return warning


def lines(first: int, last: int) -> Range:
    return Range(Position(first), Position(last))


class Board:
    """Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._readers = 0
        self._was_read = False
        self._closed = False

    @property
    def is_over(self) -> bool:
        """The build has ended, and whoever waited for its events has them: there may have been none."""
        with self._changed:
            return self._closed and self._was_read

    def put(self, response: StatusResponse) -> None:
        data = protobuf.encode(response)
        with self._changed:
            self._changed.wait_for(lambda: self._size < _MOST_WAITING or not self._readers)
            if self._size >= _MOST_WAITING and response.logs:
                return
            self._waiting.append(data)
            self._size += len(data)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def read(self, call: Call) -> Iterator[bytes]:
        """Until the build has ended, or the call."""
        gone = threading.Event()

        def leave() -> None:
            with self._changed:
                gone.set()
                self._changed.notify_all()

        with self._changed:
            self._readers += 1
            self._was_read = True
        call.on_cancel(leave)
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._closed or gone.is_set())
                    if gone.is_set() or not self._waiting:
                        return
                    data = self._waiting.popleft()
                    self._size -= len(data)
                    self._changed.notify_all()
                yield data
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()
