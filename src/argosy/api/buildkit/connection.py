"""gRPC on one connection that both ends hold already, as its server or as its client.

h2 knows HTTP/2. One thread reads the connection and sorts what comes into calls; each call is for a thread
of its own, which may wait. What a peer sends is taken in as fast as it is used: a call that is not read
from has at most a window's worth waiting. Messages are bytes here.

The framing is PROTOCOL-HTTP2.md of grpc/grpc.
"""

import base64
import contextlib
import logging
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote, unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from argosy.errors import ArgosyError

log = logging.getLogger("argosy.buildkit")

OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT = 0, 1, 2, 3
NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION = 5, 7, 9
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 12, 13, 14, 16
MAXIMUM_MESSAGE = 16 << 20
_WINDOW = 1 << 20
_MAXIMUM_CALLS = 100
_READ = 256 << 10
_PREFIX = struct.Struct(">BI")
_TYPE = ("content-type", "application/grpc")
# What gRPC reserves, and HTTP/2's own.
_NOT_METADATA = (":", "grpc-", "content-type", "te", "user-agent")

Metadata = Mapping[str, Sequence[str]]
Handle = Callable[["Call"], None]


class RpcError(ArgosyError):
    """A call failed. `details` is an encoded google.rpc.Status."""

    def __init__(self, code: int, message: str, details: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Call:
    """A call, seen from one of its ends: for one thread that receives and one that sends."""

    def __init__(self, connection: "Connection", number: int, path: str, metadata: Metadata) -> None:
        self._connection = connection
        self._number = number
        self._lock = connection.lock
        self._changed = threading.Condition(connection.lock)
        self._partial = bytearray()
        self._messages: deque[bytes] = deque()
        self._waiting = 0
        self._unacknowledged = 0
        self._ended = False
        self._error: RpcError | None = None
        self._answered = False
        self._on_cancel: list[Callable[[], object]] = []
        self.path = path
        self.metadata = metadata

    # What a handler or a caller does

    def receive(self) -> bytes | None:
        """The next message, None after the last one. Raises RpcError."""
        with self._lock:
            while not self._messages and not self._ended and self._error is None:
                self._changed.wait()
            if not self._messages:
                if self._error is not None:
                    raise self._error
                return None
            message = self._messages.popleft()
            self._waiting -= len(message)
            if self._unacknowledged and self._waiting < _WINDOW:
                self._connection.acknowledge(self._number, self._unacknowledged)
                self._unacknowledged = 0
            return message

    def __iter__(self) -> Iterator[bytes]:
        while (message := self.receive()) is not None:
            yield message

    def send(self, message: bytes) -> None:
        """Waits while the peer is slow. Raises RpcError."""
        data = memoryview(_PREFIX.pack(0, len(message)) + message)
        with self._lock:
            self._answer()
            while data:
                size = self._connection.room(self._number) if self._error is None else 0
                if self._error is not None:
                    raise self._error
                if size <= 0:
                    self._changed.wait()
                    continue
                self._connection.put(self._number, bytes(data[:size]))
                data = data[size:]

    def end(self) -> None:
        """A caller has no more to send."""
        with self._lock:
            if self._error is None:
                self._connection.end(self._number)

    def finish(self, error: RpcError | None = None) -> None:
        """A handler is done."""
        trailers = [("grpc-status", str(error.code if error is not None else OK))]
        if error is not None:
            trailers.append(("grpc-message", quote(error.message, safe=" !#$&'()*+,/:;=?@[]\"<>^`{|}")))
            if error.details:
                encoded = base64.b64encode(error.details).decode().rstrip("=")
                trailers.append(("grpc-status-details-bin", encoded))
        with self._lock:
            if self._error is None:
                self._answer()
                self._connection.headers(self._number, trailers, end=True)
                self._connection.forget(self._number)

    def cancel(self) -> None:
        """Call it off. Idempotent."""
        with self._lock:
            if self._error is None:
                self._connection.reset(self._number)
        self.fail(RpcError(CANCELLED, "context canceled"))

    def on_cancel(self, action: Callable[[], object]) -> None:
        """Called from another thread when the peer gives up, or at once if it has."""
        with self._lock:
            if self._error is None:
                self._on_cancel.append(action)
                return
        action()

    def answer(self) -> None:
        """A handler's headers, which a client may wait for."""
        with self._lock:
            self._answer()

    def _answer(self) -> None:
        if self._connection.is_client or self._answered or self._error is not None:
            return
        self._answered = True
        self._connection.headers(self._number, [(":status", "200"), _TYPE])

    # What the connection's thread does, with the lock

    def take(self, data: bytes, size: int) -> None:
        """`size` counts against the window, padding included."""
        self._partial += data
        while len(self._partial) >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(self._partial)
            if compressed or length > MAXIMUM_MESSAGE:
                self._connection.reset(self._number)
                self.fail(RpcError(UNKNOWN, f"a message of {length} bytes is too large, or compressed"))
                return
            end = _PREFIX.size + length
            if len(self._partial) < end:
                break
            message = bytes(self._partial[_PREFIX.size : end])
            del self._partial[:end]
            self._messages.append(message)
            self._waiting += length
        if self._waiting < _WINDOW:
            self._connection.acknowledge(self._number, size)
        else:
            self._unacknowledged += size
        self._changed.notify_all()

    def end_of_messages(self) -> None:
        self._ended = True
        self._changed.notify_all()

    def trailers(self, headers: list[tuple[str, str]]) -> None:
        found = dict(headers)
        code = int(found["grpc-status"]) if found.get("grpc-status", "").isdecimal() else UNKNOWN
        if code != OK and self._error is None:
            padded = found.get("grpc-status-details-bin", "")
            with contextlib.suppress(ValueError):
                details = base64.b64decode(padded + "=" * (-len(padded) % 4))
            self._error = RpcError(code, unquote(found.get("grpc-message", "")), details)
        self.end_of_messages()

    def room_again(self) -> None:
        self._changed.notify_all()

    def fail(self, error: RpcError) -> None:
        """Also from other threads, also without the lock."""
        with self._lock:
            if self._error is None:
                self._error = error
            actions, self._on_cancel = self._on_cancel, []
            self._connection.forget(self._number)
            self._changed.notify_all()
        for action in actions:
            action()


class Connection:
    """`handle` answers calls; a client is without. The socket becomes the connection's own.

    Whoever has the lock may use what is below `run`; it is the lock of all calls, too.
    """

    def __init__(self, connection: socket.socket, handle: Handle | None) -> None:
        connection.settimeout(None)
        self._socket = connection
        self._handle = handle
        self.is_client = handle is None
        self.lock = threading.RLock()
        self._h2 = H2Connection(H2Configuration(client_side=self.is_client, header_encoding="latin-1"))
        self._calls: dict[int, Call] = {}
        self._closed = False
        self._h2.initiate_connection()
        self._h2.update_settings(
            {SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW}
            if self.is_client
            else {
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                SettingCodes.MAX_CONCURRENT_STREAMS: _MAXIMUM_CALLS,
            }
        )
        self._h2.increment_flow_control_window(16 * _WINDOW)

    def run(self, initial: bytes = b"") -> None:
        """Until either end closes it. `initial` is what has come in already."""
        try:
            with self.lock:
                self._flush()
            data = initial or self._socket.recv(_READ)
            while data:
                self._feed(data)
                data = self._socket.recv(_READ)
        except (OSError, ProtocolError) as error:
            log.debug("connection: %s", error)
        finally:
            self.close()
            self._socket.close()

    def close(self) -> None:
        """Everything under way fails. Thread-safe, idempotent."""
        self._closed = True
        # First, for it is what wakes a thread that sends and has the lock.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with self.lock:
            calls = list(self._calls.values())
        for call in calls:
            call.fail(RpcError(UNAVAILABLE, "the connection is closed"))

    def call(self, path: str, metadata: Metadata | None = None) -> Call:
        """A client's. Raises RpcError."""
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        headers += [_TYPE, ("te", "trailers")]
        headers += [(name, value) for name, values in (metadata or {}).items() for value in values]
        with self.lock:
            if self._closed:
                raise RpcError(UNAVAILABLE, "the client has gone")
            number = self._h2.get_next_available_stream_id()
            call = self._calls[number] = Call(self, number, path, metadata or {})
            self.headers(number, headers)
        return call

    # Of the calls

    def headers(self, number: int, headers: list[tuple[str, str]], *, end: bool = False) -> None:
        with self._usable():
            self._h2.send_headers(number, headers, end_stream=end)
            self._flush()

    def room(self, number: int) -> int:
        with self._usable():
            return min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)

    def put(self, number: int, data: bytes) -> None:
        with self._usable():
            self._h2.send_data(number, data)
            self._flush()

    def end(self, number: int) -> None:
        # A server may have answered and closed the stream before its client was done.
        with contextlib.suppress(ProtocolError, OSError):
            self._h2.end_stream(number)
            self._flush()

    def reset(self, number: int) -> None:
        with contextlib.suppress(ProtocolError, OSError):
            self._h2.reset_stream(number, ErrorCodes.CANCEL)
            self._flush()

    def acknowledge(self, number: int, size: int) -> None:
        with contextlib.suppress(ProtocolError, OSError):
            self._h2.acknowledge_received_data(size, number)
            self._flush()

    def forget(self, number: int) -> None:
        self._calls.pop(number, None)

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (ProtocolError, OSError) as error:
            raise RpcError(UNAVAILABLE, f"the connection is closed: {error}") from None

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._socket.sendall(data)

    # What comes in

    def _feed(self, data: bytes) -> None:
        with self.lock:
            events = self._h2.receive_data(data)
            for event in events:
                self._sort(event)
            self._flush()

    def _sort(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event.stream_id, _pairs(event.headers))
            case DataReceived():
                call = self._calls.get(event.stream_id)
                if call is None:
                    self.acknowledge(event.stream_id, event.flow_controlled_length)
                else:
                    call.take(event.data, event.flow_controlled_length)
            case ResponseReceived() | TrailersReceived():
                headers = _pairs(event.headers)
                if (call := self._calls.get(event.stream_id)) is not None and "grpc-status" in dict(headers):
                    call.trailers(headers)
            case StreamEnded():
                if (call := self._calls.get(event.stream_id)) is not None:
                    call.end_of_messages()
                    if self.is_client:
                        self.forget(event.stream_id)
            case StreamReset():
                # A server that has answered everything may still reset what the client leaves open.
                if (call := self._calls.get(event.stream_id)) is not None:
                    call.fail(RpcError(CANCELLED, "context canceled"))
            case WindowUpdated():
                for call in self._calls.values():
                    call.room_again()
            case ConnectionTerminated():
                if not self.is_client:
                    self._closed = True
            case _:
                pass

    def _begin(self, number: int, headers: list[tuple[str, str]]) -> None:
        path, metadata = "", dict[str, list[str]]()
        for name, value in headers:
            if name == ":path":
                path = value
            if not name.startswith(_NOT_METADATA):
                metadata.setdefault(name, []).append(value)
        call = self._calls[number] = Call(self, number, path, metadata)
        threading.Thread(target=self._answer, args=(call,), name="rpc", daemon=True).start()

    def _answer(self, call: Call) -> None:
        assert self._handle is not None
        failure: RpcError | None = None
        try:
            self._handle(call)
        except RpcError as error:
            failure = error
        except ArgosyError as error:
            failure = RpcError(_CODES.get(error.status, UNKNOWN), str(error))
        except ValueError as error:
            failure = RpcError(INVALID_ARGUMENT, str(error))
        except Exception as error:
            log.exception("%s", call.path)
            failure = RpcError(INTERNAL, f"{type(error).__name__}: {error}")
        with contextlib.suppress(RpcError):
            call.finish(failure)


_CODES = {
    400: INVALID_ARGUMENT,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: NOT_FOUND,
    409: FAILED_PRECONDITION,
    501: UNIMPLEMENTED,
    503: UNAVAILABLE,
}


def _pairs(headers: object) -> list[tuple[str, str]]:
    assert isinstance(headers, list)
    return [(str(name), str(value)) for name, value in headers]
