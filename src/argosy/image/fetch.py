"""A blob from a registry as a source that survives cuts.

When a transfer breaks off, it is resumed where it stopped (RFC 9110, "Range Requests"). Only attempts
that bring nothing count against the limit.
"""

import threading
from collections.abc import Callable

from urllib3.exceptions import HTTPError

from argosy.errors import ArgosyError
from argosy.image.registry import RegistryError
from argosy.image.transport import Response, TransportError, release

_ATTEMPTS = 5
_FIRST_PAUSE = 0.5

# The content from an offset on (206), or the whole (200).
Open = Callable[[int], Response]


class Stopped(ArgosyError):
    """Another part of the transfer failed, or nobody wants it any more."""


class BlobSource:
    """`size` bytes, and never more. One thread reads; `stop` may be set by any."""

    def __init__(self, open_at: Open, size: int, stop: threading.Event) -> None:
        self._open_at = open_at
        self._size = size
        self._stop = stop
        self._position = 0
        self._response: Response | None = None

    def read(self, size: int, /) -> bytes:
        """Raises RegistryError, TransportError, Stopped."""
        wanted = min(size, self._size - self._position)
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
            self._position += len(data)
            return data
        raise AssertionError("unreachable")

    def close(self) -> None:
        if self._response is not None:
            release(self._response)
            self._response = None

    def _some(self, wanted: int) -> bytes:
        if self._response is None:
            self._response = self._open_at(self._position)
            if self._position and self._response.status == 200:
                # A server without ranges begins again at the beginning.
                self._skip(self._response, self._position)
        data: bytes = self._response.read(wanted)
        if not data:
            raise TransportError(f"unexpected EOF after {self._position} of {self._size} bytes")
        return data

    def _skip(self, response: Response, size: int) -> None:
        while size:
            data = response.read(min(size, 1 << 20))
            if not data:
                raise TransportError(f"unexpected EOF after {self._position} of {self._size} bytes")
            size -= len(data)


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, RegistryError):
        return error.answered == 408 or error.answered >= 500 or error.is_passing
    return True


def _named(error: BaseException) -> ArgosyError:
    return error if isinstance(error, ArgosyError) else TransportError(f"transfer broke off: {error}")
