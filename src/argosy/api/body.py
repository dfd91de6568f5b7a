"""Large bodies as threads read and write them: straight on the socket, past the event loop and h11.

Archives are hundreds of megabytes, and each layer that they pass through copies them once more. Only
what delimits a body (RFC 9112, section 6) is looked at here; the connection does not outlive it.
"""

import contextlib
import os
import select
import socket
from collections.abc import Iterator

from argosy.errors import ArgosyError, InvalidParameter

_LINE_LIMIT = 4096
_SMALL = 1 << 16
_LARGE = 1 << 20


class Gone(Exception):
    """The client has closed the connection."""


class BodySink:
    """A chunked body, for one thread. Its last chunk is the connection's to send."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._gathered = bytearray()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLOUT)

    def write(self, data: bytes) -> None:
        """Raises Gone."""
        self._gathered += b"%x\r\n" % len(data) + data + b"\r\n" if data else b""
        if len(self._gathered) >= _SMALL:
            self.flush()

    def write_file(self, descriptor: int, size: int) -> None:
        """The first `size` bytes of a file, copied by the kernel. Raises Gone, OSError."""
        if not size:
            return
        self._gathered += b"%x\r\n" % size
        self.flush()
        offset = 0
        while offset < size:
            with self._room():
                sent = os.sendfile(self._socket.fileno(), descriptor, offset, size - offset)
                if not sent:
                    raise ArgosyError(f"the file is shorter than {size} bytes")
                offset += sent
        self._gathered += b"\r\n"

    def flush(self) -> None:
        view = memoryview(bytes(self._gathered))
        self._gathered.clear()
        while view:
            with self._room():
                view = view[self._socket.send(view) :]

    def close(self) -> None:
        self._socket.close()

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """Wait if there is none for what is sent within; then it has to be sent again."""
        try:
            yield
        except BlockingIOError:
            self._poll.poll()
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None


class BodySource:
    """For one thread. `length` is the body's, or None if it comes in chunks."""

    def __init__(self, connection: socket.socket, initial: bytes, length: int | None) -> None:
        self._socket = connection
        self._pending = initial
        self._chunked = length is None
        # Of the chunk, or of the whole body.
        self._left = length or 0
        self._in_chunk = False
        self._ended = length == 0
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end."""
        return self._ended

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, empty at the end. Raises Gone, InvalidParameter."""
        if not self._left and not self._ended:
            self._next_chunk()
        if self._ended:
            return b""
        size = min(size, self._left)
        if self._pending:
            data, self._pending = self._pending[:size], self._pending[size:]
        else:
            data = self._receive(size)
        self._left -= len(data)
        if not self._left and not self._chunked:
            self._ended = True
        return data

    def close(self) -> None:
        self._socket.close()

    def _next_chunk(self) -> None:
        if self._in_chunk and self._line():
            raise InvalidParameter("bad request: a chunk is longer than it says")
        text = self._line().partition(b";")[0].strip()
        try:
            self._left = int(text, 16)
        except ValueError:
            raise InvalidParameter("bad request: invalid chunk size") from None
        if self._left < 0:
            raise InvalidParameter("bad request: invalid chunk size")
        self._in_chunk = True
        if not self._left:
            while self._line():
                pass
            self._ended = True

    def _line(self) -> bytes:
        while (end := self._pending.find(b"\n")) < 0:
            if len(self._pending) > _LINE_LIMIT:
                raise InvalidParameter("bad request: a chunk's header is too long")
            self._pending += self._receive(_SMALL)
        line, self._pending = self._pending[:end], self._pending[end + 1 :]
        return line.removesuffix(b"\r")

    def _receive(self, size: int) -> bytes:
        while True:
            try:
                data = self._socket.recv(min(size, _LARGE))
            except BlockingIOError:
                self._poll.poll()
                continue
            except OSError:
                data = b""
            if not data:
                raise Gone
            return data
