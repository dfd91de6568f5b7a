"""Bytes between the user's descriptors and a container's stream."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest

from argosy.cli.session import Interrupted, Session

from .conftest import Standard

if TYPE_CHECKING:
    from argosy.client.transport import Stream


@pytest.fixture
def pair() -> Iterator[tuple[Stream, socket.socket]]:
    client, engine = socket.socketpair()
    engine.settimeout(5)
    with client, engine:
        yield cast("Stream", client), engine


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def test_output_is_told_apart(standard: Standard, pair: tuple[Stream, socket.socket]) -> None:
    client, engine = pair
    engine.sendall(frame(2, b"err"))
    engine.shutdown(socket.SHUT_WR)
    with standard:
        assert Session(client, frame(1, b"out"), tty=False, stdin=False).run()
    assert os.read(standard.stdout, 100) == b"out"
    assert os.read(standard.stderr, 100) == b"err"


def test_the_end_of_input_is_passed_on_and_output_goes_on(
    standard: Standard, pair: tuple[Stream, socket.socket]
) -> None:
    client, engine = pair
    os.write(standard.stdin, b"question")
    standard.end_input()

    def container() -> None:
        received = b""
        while data := engine.recv(100):
            received += data
        engine.sendall(b"answer to " + received)
        engine.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=container)
    thread.start()
    with standard:
        assert Session(client, tty=True, stdin=True).run()
    thread.join()
    assert os.read(standard.stdout, 100) == b"answer to question"


def test_output_is_read_while_input_is_not_taken(
    standard: Standard, pair: tuple[Stream, socket.socket]
) -> None:
    """A container that echoes does not take more input until its output is read."""
    client, engine = pair
    size = 3 << 20
    echoed = bytearray()

    def feed() -> None:
        for _ in range(size >> 16):
            os.write(standard.stdin, b"x" * 65536)
        standard.end_input()

    def echo() -> None:
        while data := engine.recv(4096):
            engine.sendall(data)
        engine.shutdown(socket.SHUT_WR)

    def collect() -> None:
        while len(echoed) < size:
            echoed.extend(os.read(standard.stdout, 65536))

    threads = [threading.Thread(target=target) for target in (feed, echo, collect)]
    for thread in threads:
        thread.start()
    with standard:
        assert Session(client, tty=True, stdin=True).run()
    for thread in threads:
        thread.join()
    assert len(echoed) == size


def test_the_detach_keys_end_the_session_and_are_kept_back(
    standard: Standard, pair: tuple[Stream, socket.socket]
) -> None:
    client, engine = pair
    os.write(standard.stdin, b"ls\n\x10\x11")
    with standard:
        assert not Session(client, tty=True, stdin=True, detach_keys=b"\x10\x11").run()
    assert engine.recv(100) == b"ls\n"


def test_signals_are_handed_on_and_the_third_ends_the_client(
    pair: tuple[Stream, socket.socket],
) -> None:
    client, _ = pair
    sent: list[str] = []
    session = Session(client, tty=False, stdin=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}

    def send(name: str) -> None:
        sent.append(name)
        os.kill(os.getpid(), signal.SIGINT)

    session.proxy_signals(send)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(Interrupted):
            session.run()
    finally:
        signal.set_wakeup_fd(-1)
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, before.get(signal.Signals(number), signal.SIG_DFL))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    assert sent == ["USR1", "INT", "INT"]


def test_streams_that_were_not_asked_for_are_dropped(
    standard: Standard, pair: tuple[Stream, socket.socket]
) -> None:
    client, engine = pair
    engine.sendall(frame(1, b"out") + frame(2, b"err"))
    engine.shutdown(socket.SHUT_WR)
    with standard:
        assert Session(client, tty=False, stdin=False, stdout=False).run()
    os.set_blocking(standard.stdout, False)
    with pytest.raises(BlockingIOError):
        os.read(standard.stdout, 100)
    assert os.read(standard.stderr, 100) == b"err"
