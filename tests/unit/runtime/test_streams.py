"""The stdio of one process, with pipes for the process and socket pairs for its clients."""

import contextlib
import os
import select
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

import descriptors
from argosy.runtime.logfile import STDERR
from argosy.runtime.streams import Client, Poller, Stdio

CHUNKS = st.lists(st.lists(st.sampled_from(b"\x10\x11ab"), max_size=5).map(bytes), max_size=6)


def client(connection: socket.socket, keys: bytes = b"", *, stdin: bool = True) -> Client:
    return Client(connection, stdin=stdin, stdout=True, stderr=True, detach_keys=keys, initial=b"")


@given(CHUNKS)
def test_keys_are_found_however_the_input_is_cut(chunks: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        typed = client(ours, b"\x10\x11")
        passed, detached = b"", False
        for chunk in chunks:
            data, detached = typed.input(chunk)
            passed += data
            if detached:
                break
        before, found, _ = b"".join(chunks).partition(b"\x10\x11")
        assert detached == bool(found)
        # A key that may yet turn out to begin the sequence is held back.
        assert passed == (before if detached else before.removesuffix(b"\x10"))


class Process:
    """A Stdio with the process's ends of its pipes."""

    def __init__(self) -> None:
        self.poller = Poller()
        self.stdio = Stdio(self.poller, terminal=False, open_stdin=True, stdin_once=False, log=None)
        self.stdin, self.stdout, self.stderr = self.stdio.make_pipes()
        self.stdio.start()

    def attach(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.stdio.attach(client(ours), running=True)
        return theirs

    def turn(self, times: int = 1) -> None:
        """One round of the shim's loop, which must have something to do."""
        for _ in range(times):
            assert select.select([self.poller._epoll], [], [], 5)[0]
            self.poller.poll()

    def idle(self) -> bool:
        return not select.select([self.poller._epoll], [], [], 0.02)[0]

    def close(self) -> None:
        self.stdio.drain()
        self.stdio.end()
        for end in (self.stdin, self.stdout, self.stderr):
            os.close(end)

    def settle(self) -> None:
        while not self.idle():
            self.poller.poll()


@pytest.fixture
def process() -> Process:
    return Process()


def fill(connection: socket.socket) -> int:
    sent = 0
    try:
        while True:
            sent += connection.send(bytes(1 << 16))
    except BlockingIOError:
        return sent


def test_a_client_that_dies_with_its_buffer_full_does_not_stop_the_process(process: Process) -> None:
    theirs = process.attach()
    [attached] = process.stdio._clients
    attached.pending += bytes(2 << 20)
    theirs.close()
    # Output comes in before the client's end has been noticed.
    process.stdio._deliver(STDERR, b"more")
    os.write(process.stdout, b"x")
    process.turn()
    os.set_blocking(process.stdout, False)
    assert not process.stdio._paused
    process.close()


def test_a_second_client_is_held_back_with_the_first_when_the_process_does_not_read(process: Process) -> None:
    first = process.attach()
    fill(first)
    process.settle()
    assert not first.recv_into(bytearray(0))
    second = process.attach()
    fill(second)
    process.settle()
    assert len(process.stdio._input) <= 1 << 17
    process.close()
    first.close()
    second.close()


def test_input_goes_on_when_the_process_reads_again(process: Process) -> None:
    theirs = process.attach()
    sent = fill(theirs)
    process.settle()
    os.set_blocking(process.stdin, False)
    got = 0
    for _ in range(200):
        try:
            got += len(os.read(process.stdin, 1 << 20))
        except BlockingIOError:
            if got == sent:
                break
        process.settle()
    assert got == sent
    process.close()
    theirs.close()


def test_input_that_is_held_back_is_not_lost_when_its_end_comes(process: Process) -> None:
    process.stdio._stdin_once = True
    theirs = process.attach()
    sent = fill(theirs)
    process.settle()
    sent += fill(theirs)
    theirs.shutdown(socket.SHUT_WR)
    process.settle()
    os.set_blocking(process.stdin, False)
    got = 0
    for _ in range(200):
        with contextlib.suppress(BlockingIOError):
            data = os.read(process.stdin, 1 << 16)
            if not data:
                break
            got += len(data)
        process.settle()
    assert got == sent
    process.close()
    theirs.close()


def test_a_process_that_could_not_be_forked_leaves_no_pipe_open() -> None:
    poller = Poller()
    before = descriptors.opened()
    stdio = Stdio(poller, terminal=False, open_stdin=True, stdin_once=False, log=None)
    ends = stdio.make_pipes()
    stdio.abandon()
    for end in ends:
        os.close(end)
    assert not descriptors.left_open(before)


def test_one_callback_that_fails_does_not_end_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    poller = Poller()
    reader, writer = os.pipe()

    def fail(_: int) -> None:
        raise RuntimeError("one container's trouble")

    poller.add(reader, select.EPOLLIN, fail)
    os.write(writer, b"x")
    poller.poll()
    poller.poll()
    assert "one container's trouble" in capsys.readouterr().err
    poller.remove(reader)
    poller.remove(reader)
    os.close(reader)
    os.close(writer)
