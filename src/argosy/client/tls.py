"""TLS on a connected socket. Imported only where it is spoken: `ssl` alone costs more than a command."""

from __future__ import annotations

import _socket
import contextlib
import errno
import socket
import ssl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.client.transport import Certificates


class _Stream(ssl.SSLSocket):
    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLZeroReturnError:
            # The other side's end, after ours: Python takes only the first of the two for an end.
            return b""
        except ssl.SSLError as error:
            # With TLS 1.3 it is only now that a client hears that its certificate is missing or not liked.
            raise _translated(error) from error

    def shutdown(self, how: int) -> None:
        """The end of what we send is TLS's own; what the engine sends may still come after it."""
        if how != socket.SHUT_WR:
            super().shutdown(how)
            return
        self.settimeout(0)
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.unwrap()
        finally:
            self.settimeout(None)


def _translated(error: ssl.SSLError) -> OSError:
    """Under a number of its own: OpenSSL's are those of other errors."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return OSError(errno.EPROTO, f"tls: failed to verify certificate: {error.verify_message}")
    reason = (error.reason or str(error)).lower().replace("_", " ")
    return OSError(errno.EPROTO, f"tls: {reason}")


def wrap(stream: _socket.socket, host: str, certificates: Certificates | None) -> ssl.SSLSocket:
    """`stream` is given up. Raises OSError."""
    try:
        context = _context(certificates)
        return context.wrap_socket(socket.socket(fileno=stream.detach()), server_hostname=host)
    except ssl.SSLError as error:
        raise _translated(error) from error


def _context(certificates: Certificates | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=(certificates and certificates.authority) or None)
    context.sslsocket_class = _Stream
    if certificates is not None:
        if not certificates.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificates.certificate:
            context.load_cert_chain(certificates.certificate, certificates.key or None)
    return context
