import socket
import threading
import time
from collections.abc import Sequence

import pytest

from argosy.api.buildkit.connection import (
    CANCELLED,
    INTERNAL,
    MAXIMUM_MESSAGE,
    NOT_FOUND,
    UNAVAILABLE,
    UNKNOWN,
    Call,
    Connection,
    RpcError,
)
from argosy.errors import NotFound

from .loop import connected


def _echo(call: Call) -> None:
    for message in call:
        call.send(message)


def test_messages_go_both_ways_until_both_ends_are_done() -> None:
    with connected(_echo) as client:
        call = client.call("/echo")
        call.send(b"one")
        call.send(b"")
        call.end()
        assert list(call) == [b"one", b""]


def test_a_message_larger_than_every_window_arrives() -> None:
    data = bytes(range(256)) * 20_000
    with connected(_echo) as client:
        call = client.call("/echo")

        def send() -> None:
            call.send(data)
            call.end()

        threading.Thread(target=send).start()
        assert list(call) == [data]


def test_a_reader_that_waits_holds_the_writer_back() -> None:
    sent = []

    def pour(call: Call) -> None:
        for number in range(200):
            call.send(bytes(100_000))
            sent.append(number)

    with connected(pour) as client:
        call = client.call("/pour")
        time.sleep(0.3)
        assert len(sent) < 100
        assert len(list(call)) == 200


def test_metadata_arrives_with_repeated_values() -> None:
    found: dict[str, Sequence[str]] = {}

    def look(call: Call) -> None:
        found.update(call.metadata)

    with connected(look) as client:
        assert client.call("/look", {"followpaths": ["a", "b"]}).receive() is None
    assert found["followpaths"] == ["a", "b"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RpcError(UNKNOWN, "50 % of läuft\nnot"), UNKNOWN, "50 % of läuft\nnot"),
        (NotFound("no such"), NOT_FOUND, "no such"),
        (KeyError("x"), INTERNAL, "KeyError: 'x'"),
    ],
)
def test_a_failure_comes_with_code_and_message(error: Exception, code: int, message: str) -> None:
    def fail(call: Call) -> None:
        raise error

    with connected(fail) as client, pytest.raises(RpcError) as raised:
        client.call("/fail").receive()
    assert (raised.value.code, raised.value.message) == (code, message)


def test_details_of_a_failure_arrive() -> None:
    def fail(call: Call) -> None:
        raise RpcError(UNKNOWN, "x", b"\x08\x02\x12\x01x")

    with connected(fail) as client, pytest.raises(RpcError) as raised:
        client.call("/fail").receive()
    assert raised.value.details == b"\x08\x02\x12\x01x"


def test_a_caller_that_gives_up_is_noticed() -> None:
    gone = threading.Event()

    def wait(call: Call) -> None:
        call.on_cancel(gone.set)
        with pytest.raises(RpcError) as raised:
            call.receive()
        assert raised.value.code == CANCELLED

    with connected(wait) as client:
        client.call("/wait").cancel()
        assert gone.wait(5)


def test_a_lost_connection_fails_every_call() -> None:
    gone = threading.Event()

    def wait(call: Call) -> None:
        call.on_cancel(gone.set)
        gone.wait(5)

    with connected(wait) as client:
        call = client.call("/wait")
        time.sleep(0.05)
        client.close()
        with pytest.raises(RpcError) as raised:
            call.receive()
        assert raised.value.code == UNAVAILABLE
        assert gone.wait(5)
        with pytest.raises(RpcError):
            client.call("/again")


def test_a_message_that_claims_to_be_huge_is_refused_before_it_comes() -> None:
    with connected(_echo) as client:
        call = client.call("/echo")
        with client.lock:
            client.put(1, b"\0" + (MAXIMUM_MESSAGE + 1).to_bytes(4, "big") + b"x")
        with pytest.raises(RpcError):
            call.receive()


def test_a_peer_that_speaks_no_http2_is_let_go() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        server = Connection(theirs, _echo)
        thread = threading.Thread(target=server.run)
        thread.start()
        ours.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        thread.join(5)
        assert not thread.is_alive()
