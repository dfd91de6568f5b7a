"""TLS on a connected socket. Imported only where it is spoken: `ssl` alone costs more than a command."""

from __future__ import annotations

import _socket
import contextlib
import errno
import os
import select
import socket
import ssl
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.client.transport import Certificates

_FED_AT_ONCE = 128 << 10
_RECORD = 16 << 10


class TlsStream:
    """What is used of a socket. Usable by a reader and a writer at once, and the fd is ready whenever there
    is something to read: nothing that was decrypted waits here.

    `SSLSocket` can't end one direction: to send its own end it reads for the other side's, and loses what
    comes before that.
    """

    def __init__(self, stream: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._socket = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._state = threading.Lock()
        self._sending = threading.Lock()
        # Whether the engine has said anything yet.
        self._heard = False

    def shake_hands(self) -> None:
        """Raises OSError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._socket.recv(_FED_AT_ONCE)
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "EOF") from None
                self._incoming.write(data)
                continue
            finally:
                # A refusal is told to the other side, too.
                self._flush()
            return

    def recv(self, size: int, /) -> bytes:
        """At least what `size` says may come, and somewhat more. Raises OSError."""
        while True:
            with self._state:
                data, ended = self._decrypted(size)
            self._flush()
            if data or ended:
                self._heard = True
                return data
            try:
                fed = self._socket.recv(min(size, _FED_AT_ONCE))
            except ConnectionError as error:
                raise self._broken_off(error) from error
            if not fed:
                return b""
            with self._state:
                self._incoming.write(fed)

    def _decrypted(self, size: int) -> tuple[bytes, bool]:
        """All that there is, and whether nothing more will come."""
        pieces = []
        try:
            while piece := self._tls.read(size):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces), False
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            # With TLS 1.3 it is only now that a client hears that its certificate is missing or not liked.
            raise _translated(error) from error
        return b"".join(pieces), True

    def send(self, data: bytes | memoryview, flags: int = 0, /) -> int:
        """A record of it at most: what is encrypted must go, so that without waiting it is only taken when
        there is room. Raises BlockingIOError with MSG_DONTWAIT."""
        if flags & socket.MSG_DONTWAIT and not select.select([], [self._socket], [], 0)[1]:
            raise BlockingIOError(errno.EAGAIN, "no room")
        record = memoryview(data)[:_RECORD]
        self.sendall(record)
        return len(record)

    def sendall(self, data: bytes | memoryview, /) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _FED_AT_ONCE):
            with self._sending:
                with self._state:
                    self._tls.write(view[start : start + _FED_AT_ONCE])
                    ready = self._outgoing.read()
                self._put(ready)

    def _put(self, records: bytes) -> None:
        try:
            self._socket.sendall(records)
        except ConnectionError as error:
            raise self._broken_off(error) from error

    def _broken_off(self, error: ConnectionError) -> OSError:
        """What to raise when the connection has. With TLS 1.3 a server that does not like the client gets its
        first words before it refuses it, so that the refusal comes as a reset; the reason may have come
        before that."""
        if self._heard:
            return error
        try:
            with contextlib.suppress(ConnectionError):
                while fed := self._socket.recv(_FED_AT_ONCE):
                    with self._state:
                        self._incoming.write(fed)
            with self._state:
                self._decrypted(1)
        except OSError as told:
            return told
        reason = os.strerror(error.errno or errno.ECONNRESET).lower()
        return OSError(errno.EPROTO, f"{reason}: it may not accept this client's certificate")

    def _flush(self) -> None:
        if not self._outgoing.pending:
            return
        with self._sending:
            with self._state:
                ready = self._outgoing.read()
            self._put(ready)

    def shutdown(self, how: int, /) -> None:
        """The end of what we send is TLS's own; what the engine sends may still come after it."""
        if how != socket.SHUT_WR:
            self._socket.shutdown(how)
            return
        with self._state, contextlib.suppress(ssl.SSLWantReadError):
            # It looks for the other side's end, too, but whole records are never left in `_incoming`.
            self._tls.unwrap()
        self._flush()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def _translated(error: ssl.SSLError) -> OSError:
    """Under a number of its own: OpenSSL's are those of other errors."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return OSError(errno.EPROTO, f"tls: failed to verify certificate: {error.verify_message}")
    reason = (error.reason or str(error)).lower().replace("_", " ")
    return OSError(errno.EPROTO, f"tls: {reason}")


def wrap(stream: _socket.socket, host: str, certificates: Certificates | None) -> TlsStream:
    """`stream` is given up. Raises OSError."""
    connection = socket.socket(fileno=stream.detach())
    try:
        wrapped = TlsStream(connection, _context(certificates), host)
        wrapped.shake_hands()
    except BaseException as error:
        connection.close()
        if isinstance(error, ssl.SSLError):
            raise _translated(error) from error
        raise
    return wrapped


def _context(certificates: Certificates | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=(certificates and certificates.authority) or None)
    if certificates is not None:
        if not certificates.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificates.certificate:
            context.load_cert_chain(certificates.certificate, certificates.key or None)
    return context
