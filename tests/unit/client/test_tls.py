"""TLS to an engine that breaks off."""

import errno
import socket
import ssl

import pytest

from argosy.client.tls import TlsStream


def test_a_reset_before_the_first_answer_says_what_it_may_mean() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        stream = TlsStream(ours, ssl.create_default_context(), "engine.example")
        ours.send(b"never read")
        theirs.close()
        with pytest.raises(OSError, match="it may not accept this client's certificate") as caught:
            stream.recv(10)
        assert caught.value.errno == errno.EPROTO


def test_a_reset_after_that_is_one() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        stream = TlsStream(ours, ssl.create_default_context(), "engine.example")
        stream._heard = True
        ours.send(b"never read")
        theirs.close()
        with pytest.raises(ConnectionError):
            stream.recv(10)
