"""A blob from a registry as a source that survives cuts, and that goes faster where the network is slow.

When a transfer breaks off, it is resumed where it stopped (RFC 9110, "Range Requests"). Only attempts
that bring nothing count against the limit.

Much of what a layer's reader does is hashing and inflating; as long as that is what takes the time, one
connection is best. Where the reader mostly waits, the rest of a large blob comes over several connections,
a part over each, and is handed on in its order: servers and long ways limit what one connection brings.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from urllib3.exceptions import HTTPError

from argosy.errors import ArgosyError
from argosy.image.registry import RegistryError
from argosy.image.transport import Response, TransportError, release

_ATTEMPTS = 5
_FIRST_PAUSE = 0.5
# How long a transfer is watched before it is judged, in seconds, and the share of waiting that is too much.
_TRIAL = 0.5
_TOO_MUCH_WAITING = 0.7
_LARGE = 16 << 20
_PART = 4 << 20
_CONNECTIONS = 4
_POLL = 0.2

# The content from an offset to an end (206), or the whole (200).
Open = Callable[[int, int], Response]


class Stopped(ArgosyError):
    """Another part of the transfer failed, or nobody wants it any more."""


class BlobSource:
    """`size` bytes, and never more. One thread reads; `stop` may be set by any."""

    def __init__(self, open_at: Open, size: int, stop: threading.Event) -> None:
        self._size = size
        self._stop = stop
        self._stream = _Stream(open_at, 0, size, stop)
        self._open_at = open_at
        self._parts: _Parts | None = None
        self._began = time.monotonic()
        self._waited = 0.0
        self._judged = False

    def read(self, size: int, /) -> bytes:
        """Raises RegistryError, TransportError, Stopped."""
        if self._parts is not None:
            return self._parts.read(size)
        asked = time.monotonic()
        data = self._stream.read(size)
        now = time.monotonic()
        self._waited += now - asked
        if not self._judged and now - self._began >= _TRIAL:
            self._judged = True
            if self._waited > _TOO_MUCH_WAITING * (now - self._began) and self._may_split():
                self._stream.close()
                self._parts = _Parts(self._open_at, self._stream.position, self._size, self._stop)
        return data

    def close(self) -> None:
        self._stream.close()
        if self._parts is not None:
            self._parts.close()

    def _may_split(self) -> bool:
        return self._stream.has_ranges and self._size - self._stream.position >= _LARGE


class _Stream:
    """What lies between two offsets, over one connection after another."""

    def __init__(self, open_at: Open, start: int, end: int, stop: threading.Event) -> None:
        self._open_at = open_at
        self._end = end
        self._stop = stop
        self._response: Response | None = None
        self.position = start
        self.has_ranges = False

    def read(self, size: int) -> bytes:
        wanted = min(size, self._end - self.position)
        if wanted <= 0:
            return b""
        pause = _FIRST_PAUSE
        for attempt in range(1, _ATTEMPTS + 1):
            if self._stop.is_set():
                self.close()
                raise Stopped("context canceled")
            try:
                data = self._some(wanted)
            except (HTTPError, OSError, TransportError, RegistryError) as error:
                self.close()
                if attempt == _ATTEMPTS or not _is_temporary(error):
                    raise _named(error) from error
                self._stop.wait(pause)
                pause *= 2
                continue
            self.position += len(data)
            return data
        raise AssertionError("unreachable")

    def close(self) -> None:
        if self._response is not None:
            release(self._response)
            self._response = None

    def _some(self, wanted: int) -> bytes:
        if self._response is None:
            self._response = self._open_at(self.position, self._end)
            self.has_ranges = self._response.headers.get("Accept-Ranges") == "bytes"
            if self.position and self._response.status == 200:
                # A server without ranges begins again at the beginning.
                self._skip(self._response, self.position)
        data: bytes = self._response.read(wanted)
        if not data:
            raise TransportError(f"unexpected EOF after {self.position} of {self._end} bytes")
        return data

    def _skip(self, response: Response, size: int) -> None:
        while size:
            data = response.read(min(size, 1 << 20))
            if not data:
                raise TransportError(f"unexpected EOF after {self.position} of {self._end} bytes")
            size -= len(data)


class _Parts:
    """What lies between two offsets, in parts that are fetched some at a time and read in their order."""

    def __init__(self, open_at: Open, start: int, end: int, stop: threading.Event) -> None:
        self._open_at = open_at
        self._next = start
        self._end = end
        self._stop = stop
        self._closed = threading.Event()
        self._fetchers = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="fetch-part")
        self._coming: deque[Future[bytes]] = deque()
        self._data = memoryview(b"")
        for _ in range(_CONNECTIONS):
            self._order()

    def read(self, size: int) -> bytes:
        if not self._data and self._coming:
            self._data = memoryview(self._awaited(self._coming[0]))
            self._coming.popleft()
            self._order()
        data, self._data = bytes(self._data[:size]), self._data[size:]
        return data

    def close(self) -> None:
        self._closed.set()
        self._fetchers.shutdown(cancel_futures=True)

    def _order(self) -> None:
        if self._next < self._end:
            start, self._next = self._next, min(self._next + _PART, self._end)
            self._coming.append(self._fetchers.submit(self._fetch, start, self._next))

    def _awaited(self, part: Future[bytes]) -> bytes:
        while True:
            try:
                return part.result(_POLL)
            except TimeoutError:
                if self._stop.is_set():
                    raise Stopped("context canceled") from None

    def _fetch(self, start: int, end: int) -> bytes:
        stream = _Stream(self._open_at, start, end, self._closed)
        pieces = []
        try:
            while data := stream.read(1 << 20):
                pieces.append(data)
        finally:
            stream.close()
        return b"".join(pieces)


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, RegistryError):
        return error.answered == 408 or error.answered >= 500 or error.is_passing
    return True


def _named(error: BaseException) -> ArgosyError:
    return error if isinstance(error, ArgosyError) else TransportError(f"transfer broke off: {error}")
