"""HTTP/1.1 over one socket, by hand.

`http.client` takes 25 ms to import, three times a bare interpreter; what the Engine API needs of HTTP fits
here. A body ends by its length, by its last chunk, or with the connection. A hijacked response (101, or 200
with a raw stream type) has no body: its connection becomes a plain two-way stream, and bytes that arrived
behind the headers belong to that stream.

A `Connection` is kept open from one request to the next while each response is read to its end.
"""

from __future__ import annotations

import _socket

from argosy.client import fastjson
from argosy.client.errors import APIError, ConnectionFailed, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Protocol, TypeAlias

    class Stream(Protocol):
        """What is used of a socket, plain or TLS."""

        def recv(self, size: int, /) -> bytes: ...
        def send(self, data: bytes | memoryview, flags: int = 0, /) -> int: ...
        def sendall(self, data: bytes | memoryview, /) -> None: ...
        def shutdown(self, how: int, /) -> None: ...
        def fileno(self) -> int: ...
        def close(self) -> None: ...

    Body: TypeAlias = "bytes | Iterable[bytes] | Upload | None"

READ_SIZE = 256 * 1024
MAX_HEADER = 256 * 1024
SHUT_WR = _socket.SHUT_WR
MSG_DONTWAIT = _socket.MSG_DONTWAIT


# What a root user's upload may have on its way: the default of 200 KiB costs a change of process each.
_SEND_BUFFER = 4 << 20
_SO_SNDBUFFORCE = 32


class Upload:
    """A regular file as a body."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size


class Certificates:
    """Paths of PEM files, empty where there is none: whom to believe, and who we are."""

    def __init__(
        self, *, authority: str = "", certificate: str = "", key: str = "", verify: bool = True
    ) -> None:
        self.authority = authority
        self.certificate = certificate
        self.key = key
        self.verify = verify


class Address:
    """Where an engine listens: `unix:///path`, `tcp://host:port`, `http(s)://host:port`."""

    def __init__(self, text: str, certificates: Certificates | None = None) -> None:
        """With certificates it is TLS that is spoken."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "tcp", text
        self.text = text if separator else f"tcp://{text}"
        self.scheme = scheme
        self.path = rest
        self.certificates = certificates
        self.tls = certificates is not None or scheme == "https"
        if scheme not in ("unix", "tcp", "http", "https"):
            raise ValueError(f"unable to parse docker host `{text}`")

    def connect(self) -> Stream:
        try:
            return self._connect_unix() if self.scheme == "unix" else self._connect_tcp()
        except OSError as error:
            raise ConnectionFailed(self.text, error) from error

    def _connect_unix(self) -> Stream:
        stream = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            stream.connect(self.path)
        except OSError:
            stream.close()
            raise
        return stream

    def _connect_tcp(self) -> Stream:
        host, _, port = self.path.rstrip("/").rpartition(":")
        default = "2376" if self.tls else "2375"
        if not host or port.endswith("]"):
            host, port = self.path.rstrip("/"), default
        host = host.strip("[]")
        failure: OSError = OSError(f"no address for {host}")
        for family, kind, proto, _, target in _socket.getaddrinfo(
            host or "localhost", port or default, 0, _socket.SOCK_STREAM
        ):
            stream = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, proto)
            try:
                stream.connect(target)
            except OSError as error:
                stream.close()
                failure = error
                continue
            stream.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            if not self.tls:
                return stream
            from argosy.client.tls import wrap

            return wrap(stream, host, self.certificates)
        raise failure


class Response:
    """Status and headers; the body is still on the wire until it is read."""

    def __init__(
        self,
        connection: Connection,
        status: int,
        reason: str,
        headers: dict[str, str],
        *,
        bodiless: bool = False,
    ) -> None:
        self._bodiless = bodiless or status in (204, 304) or headers.get("content-length") == "0"
        self.status = status
        self.reason = reason
        self.headers = headers
        self._connection = connection

    def read(self) -> bytes:
        return b"".join(self.pieces())

    def json(self) -> Any:
        body = self.read()
        return fastjson.loads(body) if body else None

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives, in pieces of any size."""
        connection = self._connection
        if self._bodiless:
            connection.finished(self)
            return
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from connection.read_chunked()
        elif "content-length" in self.headers:
            yield from connection.read_exactly(int(self.headers["content-length"]))
        else:
            yield from connection.read_to_end()
        connection.finished(self)

    def messages(self) -> Iterator[Any]:
        """A stream of JSON values: line by line, or simply one behind the other."""
        decoder = _utf8_decoder()
        pending = ""
        for piece in self.pieces():
            pending += decoder(piece)
            while pending:
                pending = pending.lstrip()
                if not pending:
                    break
                try:
                    value, end = fastjson.scan(pending, 0)
                except ValueError:
                    break
                yield value
                pending = pending[end:]

    def hijack(self) -> tuple[Stream, bytes]:
        """The raw stream, and what of it has arrived already. The connection is given up."""
        return self._connection.give_up()


def _utf8_decoder() -> Any:
    import codecs

    return codecs.getincrementaldecoder("utf-8")("replace").decode


class Connection:
    def __init__(self, address: Address) -> None:
        self.address = address
        self._stream: Stream | None = None
        self._buffer = b""
        self._idle = True
        self._bodiless = False

    @property
    def idle(self) -> bool:
        """Whether the last response was read to its end."""
        return self._idle

    def open(self) -> Stream:
        if self._stream is None:
            self._stream = self.address.connect()
            self._buffer = b""
        return self._stream

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._idle = True

    def send(self, method: str, target: str, body: Body = None, headers: Iterable[str] = ()) -> None:
        """Send a request; its response must be received before the next is sent."""
        host = "argosy" if self.address.scheme == "unix" else self.address.path.rstrip("/")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "User-Agent: argosy", *headers]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif isinstance(body, Upload):
            lines.append(f"Content-Length: {body.size}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        elif method != "GET":
            lines.append("Content-Length: 0")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._idle = False
        self._bodiless = method == "HEAD"
        reused = self._stream is not None
        stream = self.open()
        whole = head + body if isinstance(body, bytes) else head
        try:
            stream.sendall(whole)
        except OSError as error:
            if not reused:
                raise ConnectionFailed(self.address.text, error) from error
            # The server may close a kept connection at any time; the request has not been seen then.
            self.close()
            self._idle = False
            stream = self.open()
            try:
                stream.sendall(whole)
            except OSError as again:
                raise ConnectionFailed(self.address.text, again) from again
        if isinstance(body, Upload):
            self._send_file(stream, body)
        elif body is not None and not isinstance(body, bytes):
            self._send_chunked(stream, body)

    def _send_file(self, stream: Stream, upload: Upload) -> None:
        import contextlib
        import os

        left = upload.size
        try:
            if isinstance(stream, _socket.socket):
                with contextlib.suppress(PermissionError):
                    stream.setsockopt(_socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
                while left and (sent := os.sendfile(stream.fileno(), upload.descriptor, None, left)):
                    left -= sent
            else:
                while left and (data := os.read(upload.descriptor, min(left, READ_SIZE))):
                    stream.sendall(data)
                    left -= len(data)
        except (BrokenPipeError, ConnectionResetError):
            # As below.
            return
        finally:
            os.close(upload.descriptor)
        if left:
            self.close()
            raise ProtocolError("the file became shorter while it was sent")

    def _send_chunked(self, stream: Stream, body: Iterable[bytes]) -> None:
        try:
            for piece in body:
                if piece:
                    stream.sendall(b"%x\r\n" % len(piece))
                    stream.sendall(piece)
                    stream.sendall(b"\r\n")
            stream.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # The server answers an upload that it refuses and closes; its answer says why.
            return

    def receive(self) -> Response:
        """The next response's status and headers; 1xx other than 101 are skipped."""
        while True:
            head, _, self._buffer = self._read_head().partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            parts = lines[0].split(" ", 2)
            if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
                self.close()
                raise ProtocolError(f"{self.address.text} does not speak HTTP: {lines[0]!r}")
            status = int(parts[1])
            if 100 <= status < 200 and status != 101:
                continue
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            reason = parts[2] if len(parts) > 2 else ""
            return Response(self, status, reason, headers, bodiless=self._bodiless)

    def request(self, method: str, target: str, body: Body = None, headers: Iterable[str] = ()) -> Response:
        """Send and receive. An error status raises APIError with the engine's message."""
        self.send(method, target, body, headers)
        return self.checked()

    def checked(self) -> Response:
        response = self.receive()
        if response.status >= 400:
            raise APIError(response.status, _error_message(response))
        return response

    def _read_head(self) -> bytes:
        data = self._buffer
        while b"\r\n\r\n" not in data:
            piece = self._recv()
            if not piece:
                self.close()
                raise ProtocolError("the engine closed the connection before it answered")
            data += piece
            if len(data) > MAX_HEADER and b"\r\n\r\n" not in data:
                self.close()
                raise ProtocolError("the engine's response headers are too long")
        return data

    def _recv(self) -> bytes:
        try:
            return self.open().recv(READ_SIZE)
        except ConnectionResetError:
            return b""
        except OSError as error:
            if not self.address.tls:
                raise
            raise ConnectionFailed(self.address.text, error) from error

    def read_exactly(self, length: int) -> Iterator[bytes]:
        while length:
            data = self._buffer or self._recv()
            if not data:
                self.close()
                raise ProtocolError("the engine closed the connection in the middle of a response")
            self._buffer = data[length:]
            piece = data[:length]
            length -= len(piece)
            yield piece

    def read_to_end(self) -> Iterator[bytes]:
        data, self._buffer = self._buffer, b""
        while data or (data := self._recv()):
            yield data
            data = b""
        self.close()

    def read_chunked(self) -> Iterator[bytes]:
        while True:
            size = int(self._read_line().partition(b";")[0], 16)
            if size == 0:
                while self._read_line():
                    pass
                return
            yield from self.read_exactly(size)
            self._read_line()

    def _read_line(self) -> bytes:
        data = self._buffer
        while (end := data.find(b"\r\n")) < 0:
            piece = self._recv()
            if not piece:
                self.close()
                raise ProtocolError("the engine closed the connection in the middle of a response")
            data += piece
        self._buffer = data[end + 2 :]
        return data[:end]

    def finished(self, response: Response) -> None:
        if response.headers.get("connection", "").lower() == "close":
            self.close()
        self._idle = True

    def give_up(self) -> tuple[Stream, bytes]:
        stream, rest = self.open(), self._buffer
        self._stream, self._buffer = None, b""
        self._idle = True
        return stream, rest


def _error_message(response: Response) -> str:
    body = response.read()
    try:
        document = fastjson.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and isinstance(document.get("message"), str):
        return str(document["message"])
    return body.decode("utf-8", "replace").strip() or response.reason
