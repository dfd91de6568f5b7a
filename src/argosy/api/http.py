"""One HTTP connection of the API: h11 for the protocol, asyncio for the transport.

A handler gets a Request and answers in one of three ways. It returns a Response; or it calls
`request.stream()` and writes as it goes; or it calls `request.hijack()` and takes the connection over,
as attach and exec do. Whatever it raises becomes an error document. If the client goes away, a
handler that only reads or streams is cancelled; a change that has begun is carried out.
"""

import asyncio
import contextlib
import errno
import functools
import logging
import select
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

import h11
import msgspec

from argosy.api.body import BodySink, BodySource, Gone
from argosy.errors import ArgosyError, InvalidParameter

log = logging.getLogger("argosy.api")
T = TypeVar("T")
_MAX_DOCUMENT = 16 << 20
_HIGH_WATER = 1 << 20
# What a large answer may have on its way: the default of 200 KiB costs a change of process each.
_SEND_BUFFER = 4 << 20
_SO_SNDBUFFORCE = 32
_FLUSH_INTERVAL = 0.001
# What a client may send ahead of who reads it, or may not.
_MOST_AHEAD = 1 << 20
# How often a client that is not read from is looked after, in seconds.
_LOOK_AFTER = 1.0
# What is read of a body that nobody wanted, and for how long, so that the client gets to the answer.
_MOST_DRAINED = 256 << 10
_LINGER = 5.0
_encode = msgspec.json.Encoder().encode
_RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"


class Response:
    __slots__ = ("body", "headers", "status")

    def __init__(
        self, body: bytes = b"", status: int = 200, headers: list[tuple[str, str]] | None = None
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers or []


def document(body: Any, status: int = 200) -> Response:
    return Response(_encode(body) + b"\n", status, [("Content-Type", "application/json")])


def no_content() -> Response:
    return Response(status=204)


class Request:
    """`query` holds the last value of each parameter, `multiple` all of them."""

    def __init__(self, connection: "Connection", event: h11.Request) -> None:
        self._connection = connection
        self._event = event
        self.method = event.method.decode("ascii")
        target, _, query = event.target.decode("latin-1").partition("?")
        self.path = unquote(target)
        self.multiple = parse_qs(query, keep_blank_values=True) if query else {}
        self.query = {name: values[-1] for name, values in self.multiple.items()}
        self.headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        self.parameters: dict[str, str] = {}
        self.version = (1, 51)

    def all_headers(self) -> dict[str, list[str]]:
        """Those that come several times, too, under their names in lower case."""
        found: dict[str, list[str]] = {}
        for name, value in self._event.headers:
            found.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Go's idea of a true parameter in moby: anything but these."""
        value = self.query.get(name)
        if value is None:
            return default
        return value.strip().lower() not in ("", "0", "no", "false", "none")

    def number(self, name: str) -> int | None:
        """Raises InvalidParameter."""
        value = self.query.get(name)
        if not value:
            return None
        try:
            return int(value)
        except ValueError:
            raise InvalidParameter(f"invalid value for {name}: {value!r} is not a number") from None

    def filters(self) -> dict[str, list[str]]:
        """The `filters` parameter: today's {key: [values]} or the old {key: {value: true}}."""
        text = self.query.get("filters")
        if not text:
            return {}
        try:
            decoded = msgspec.json.decode(text, type=dict[str, dict[str, bool] | list[str]])
        except msgspec.DecodeError as error:
            raise InvalidParameter(f"invalid filter: {error}") from None
        return {
            key: [value for value, wanted in values.items() if wanted] if isinstance(values, dict) else values
            for key, values in decoded.items()
        }

    async def body(self) -> bytes:
        """All of it, if it is no longer than a document may be. Raises InvalidParameter."""
        parts: list[bytes] = []
        size = 0
        while part := await self._connection.read_body():
            size += len(part)
            if size > _MAX_DOCUMENT:
                raise InvalidParameter("the request's body is too large")
            parts.append(part)
        return b"".join(parts)

    async def json(self, kind: type[T]) -> T:
        """The body, decoded. An empty one is an empty object. Raises InvalidParameter."""
        body = await self.body()
        try:
            return msgspec.json.decode(body.strip() or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise InvalidParameter(f"invalid JSON: {error}") from None
        except msgspec.DecodeError as error:
            raise InvalidParameter(f"invalid JSON: {error}") from None

    def body_source(self) -> BodySource:
        """The body, for one thread to read from. To be called before, in the event loop's."""
        length: int | None = int(self.headers.get("content-length", "0"))
        if "transfer-encoding" in self.headers:
            length = None
        return self._connection.body_source(length)

    def watch(self) -> None:
        """Notice from here on if the client goes, though its body was read by a thread."""
        self._connection.watch()

    async def stream(
        self,
        content_type: str = "application/json",
        status: int = 200,
        headers: list[tuple[str, str]] | None = None,
    ) -> "Stream":
        """Send the headers at once; what follows is chunked."""
        return self._connection.start_stream(status, [("Content-Type", content_type), *(headers or [])])

    async def sink(self, content_type: str, headers: list[tuple[str, str]] | None = None) -> BodySink:
        """Send the headers at once; what follows, one thread writes. It closes the sink."""
        return await self._connection.start_sink([("Content-Type", content_type), *(headers or [])])

    def hijack(
        self, content_type: str = _RAW, headers: Iterable[tuple[str, str]] = ()
    ) -> tuple[socket.socket, bytes]:
        """Answer 101 (or 200 to a client that did not ask for an upgrade) and let go of the connection.

        Returns a socket of the caller's own and the bytes that have come in already. Raises Gone.
        """
        return self._connection.hijack(self, content_type, headers)


class Stream:
    """A body that is written as it comes."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    async def write(self, data: bytes) -> None:
        """Waits while the client is slow. Raises Gone."""
        await self._connection.write_body(data)

    async def send(self, message: Any) -> None:
        """One JSON message and a line break."""
        await self._connection.write_body(_encode(message) + b"\r\n")


_FULL = (
    "no space left on device\nThe disk that holds Argosy's data is full: see what takes the room with "
    "argosy system df, and make some with argosy container prune or argosy image prune."
)


@functools.lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> h11.Response:
    """Most answers begin like another, and h11 checks every byte of a head."""
    return h11.Response(status_code=status, headers=list(headers))


def _is_full(error: BaseException) -> bool:
    """Whether a full disk is at the bottom of it."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)


Handler = Callable[[Request], Awaitable[Response | None]]


class Connection(asyncio.Protocol):
    def __init__(
        self, handle: Handler, connections: "set[Connection]", headers: list[tuple[str, str]]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._handle = handle
        self._connections = connections
        self._headers = headers
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._task: asyncio.Task[None] | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._full = False
        self._closed = False
        self._hijacked = False
        self._only_reads = False
        self._source: BodySource | None = None
        self._has_sink = False
        self._ahead = 0
        self._paused = False
        self._lingers = False
        self._is_deaf = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(_HIGH_WATER)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._source is not None or self._lingers:
            # The rest of an upload that was refused.
            return
        self._protocol.receive_data(data)
        if self._task is None:
            self._next_request()
            return
        # Of this request's body, or the next request, which waits until this one is answered.
        self._ahead += len(data)
        if self._ahead > _MOST_AHEAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()
            self._look_after()
        self._wake_reader()

    def _look_after(self) -> None:
        """Who is not read from is not heard to hang up."""
        if self._closed or not (self._paused or self._is_deaf):
            return
        if self._is_gone():
            self._transport.abort()
        else:
            self.loop.call_later(_LOOK_AFTER, self._look_after)

    def _read_on(self) -> None:
        self._ahead = 0
        self._paused = False
        self._transport.resume_reading()

    def eof_received(self) -> bool:
        """A client may close its side and still want the answer."""
        if self._lingers:
            return False
        if self._source is not None:
            return not self._is_gone() and self._protocol.our_state is not h11.MUST_CLOSE
        self._protocol.receive_data(b"")
        if self._task is None or self._is_gone():
            return False
        self._wake_reader()
        # From here on it is not listened to.
        self._is_deaf = True
        self._look_after()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._connections.discard(self)
        self.resume_writing()
        self._wake_reader()
        streams = self._protocol.our_state is h11.SEND_BODY
        if self._task is not None and not self._hijacked and (streams or self._only_reads):
            self._task.cancel()

    def _is_gone(self) -> bool:
        """A client that has closed both directions, not only its own, shows as a hang-up (unix(7))."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), 0)
        return bool(poll.poll(0))

    def end(self) -> None:
        """Close without waiting for the client; an answer that is under way is cut off."""
        self._only_reads = True
        self._transport.abort()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _wake_reader(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # A request from its first byte to its answer's last

    def _next_request(self) -> None:
        try:
            event = self._protocol.next_event()
        except h11.RemoteProtocolError as error:
            self._refuse(str(error))
            return
        if isinstance(event, h11.Request):
            self._only_reads = event.method in (b"GET", b"HEAD")
            self._task = self.loop.create_task(self._answer(Request(self, event)))
        elif isinstance(event, h11.ConnectionClosed):
            self._transport.close()

    def _refuse(self, reason: str) -> None:
        body = _encode({"message": f"bad request: {reason}"})
        self._transport.write(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        self._transport.close()

    async def _answer(self, request: Request) -> None:
        try:
            try:
                response = await self._handle(request)
            except ArgosyError as error:
                cause = error.__cause__
                full = cause is not None and _is_full(cause)
                response = self._error(request, error.status, _FULL if full else str(error))
            except Gone:
                self._transport.abort()
                return
            except Exception as error:
                if _is_full(error):
                    log.error("%s %s: no space left on device", request.method, request.path)
                    response = self._error(request, 500, _FULL)
                else:
                    log.exception("%s %s", request.method, request.path)
                    response = self._error(request, 500, f"{type(error).__name__}: {error}")
            if self._hijacked or self._closed:
                return
            if response is not None:
                self._send_response(request, response)
            elif self._protocol.our_state is h11.SEND_BODY:
                self._send(h11.EndOfMessage())
            await self._finish()
        except Gone:
            self._transport.abort()

    def _error(self, request: Request, status: int, message: str) -> Response | None:
        if self._hijacked or self._protocol.our_state is not h11.SEND_RESPONSE:
            # The headers are gone: the stream's own error message is all that is left.
            if self._has_sink:
                raise Gone
            if not self._hijacked and self._protocol.our_state is h11.SEND_BODY:
                self._send(
                    h11.Data(data=_encode({"errorDetail": {"message": message}, "error": message}) + b"\r\n")
                )
            return None
        if status == 304:
            return Response(status=304)
        return document({"message": message}, status)

    def _send_response(self, request: Request, response: Response) -> None:
        headers = [*self._answer_headers(), *response.headers]
        if response.status != 204 and response.status != 304:
            headers.append(("Content-Length", str(len(response.body))))
        events: list[Any] = [_head(response.status, tuple(headers))]
        if response.body and request.method != "HEAD":
            events.append(h11.Data(data=response.body))
        self._send(*events, h11.EndOfMessage())

    async def _finish(self) -> None:
        """Read what is left of the request, then turn to the next one."""
        if self._source is not None:
            self._end_upload(self._source)
            return
        self._read_on()
        left = _MOST_DRAINED
        while part := await self.read_body():
            left -= len(part)
            if left < 0:
                self._linger()
                return
        if self._protocol.our_state is h11.MUST_CLOSE or self._protocol.their_state is h11.MUST_CLOSE:
            self._transport.close()
            return
        if self._protocol.our_state is h11.DONE and self._protocol.their_state is h11.DONE:
            self._protocol.start_next_cycle()
            self._task = None
            self._read_on()
            self._next_request()
        else:
            self._transport.close()

    def _linger(self) -> None:
        """Closed at once, the connection would be reset, and the answer lost with it."""
        self._lingers = True
        self._transport.write_eof()
        self.loop.call_later(_LINGER, self._transport.abort)

    def _end_upload(self, source: BodySource) -> None:
        """A client that is still sending reads the answer when it is done, or closes at once."""
        if source.ended:
            self._transport.close()
        else:
            self._transport.write_eof()
            self._transport.resume_reading()

    def _answer_headers(self) -> list[tuple[str, str]]:
        ends = self._source is not None or self._has_sink
        return [*self._headers, ("Connection", "close")] if ends else self._headers

    def _send(self, *events: Any) -> None:
        """All at once: each write would be a system call here and wake the client up there."""
        data = b"".join([self._protocol.send(event) or b"" for event in events])
        if data and not self._closed:
            self._transport.write(data)

    async def read_body(self) -> bytes:
        """The next part, empty at the end. Raises Gone."""
        while True:
            if self._protocol.their_state is not h11.SEND_BODY:
                return b""
            try:
                event = self._protocol.next_event()
            except h11.RemoteProtocolError:
                raise Gone from None
            if event is h11.NEED_DATA:
                if self._protocol.they_are_waiting_for_100_continue:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
                if self._closed:
                    raise Gone
                if self._paused:
                    self._read_on()
                self._arrival = self.loop.create_future()
                await self._arrival
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            else:
                return b""

    def body_source(self, length: int | None) -> BodySource:
        if self._protocol.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
        self._transport.pause_reading()
        self._source = BodySource(self._own_socket(), bytes(self._protocol.trailing_data[0]), length)
        return self._source

    def watch(self) -> None:
        self._transport.resume_reading()

    def _own_socket(self) -> socket.socket:
        """A duplicate. Raises Gone."""
        if self._closed or self._transport.is_closing():
            raise Gone
        transport_socket = self._transport.get_extra_info("socket")
        duplicate = socket.socket(fileno=socket.dup(transport_socket.fileno()))
        duplicate.setblocking(False)
        return duplicate

    def start_stream(self, status: int, headers: list[tuple[str, str]]) -> Stream:
        chunked = [("Transfer-Encoding", "chunked")]
        self._send(h11.Response(status_code=status, headers=[*self._answer_headers(), *headers, *chunked]))
        return Stream(self)

    async def start_sink(self, headers: list[tuple[str, str]]) -> BodySink:
        self._has_sink = True
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER
            )
        self.start_stream(200, headers)
        while self._transport.get_write_buffer_size():
            await asyncio.sleep(_FLUSH_INTERVAL)
        return BodySink(self._own_socket())

    async def write_body(self, data: bytes) -> None:
        if self._closed:
            raise Gone
        self._send(h11.Data(data=data))
        if self._full:
            self._room = self.loop.create_future()
            await self._room

    def hijack(
        self, request: Request, content_type: str, headers: Iterable[tuple[str, str]]
    ) -> tuple[socket.socket, bytes]:
        self._transport.pause_reading()
        upgrade = request.headers.get("upgrade", "")
        if upgrade:
            head = "HTTP/1.1 101 UPGRADED\r\n"
            head += f"Content-Type: {content_type}\r\n" if content_type else ""
            head += f"Connection: Upgrade\r\nUpgrade: {upgrade}"
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}"
        head += "".join(f"\r\n{name}: {value}" for name, value in headers)
        duplicate = self._own_socket()
        self._hijacked = True
        # Nothing is buffered on a connection that has sent no answer yet, so this leaves at once.
        try:
            duplicate.send(head.encode() + b"\r\n\r\n")
        except OSError:
            duplicate.close()
            raise Gone from None
        initial = bytes(self._protocol.trailing_data[0])
        self._transport.abort()
        return duplicate, initial
