"""The stdio of one process: pipes or a terminal on one side, attached clients and the log on the other.

A client is a connected socket that the engine handed over, still carrying the bytes of its HTTP
connection. Without a terminal, output to it is framed as the Engine API's attach describes (stream
u8, three zero bytes, length u32 big-endian); with one it is raw. A client that reads slower than the
process writes first fills a buffer and then slows the process down: output is never dropped.
"""

import contextlib
import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial

from argosy.runtime.logfile import STDERR, STDOUT, Writer

_CHUNK = 1 << 16
_HIGH_WATER = 1 << 20
_LOW_WATER = 1 << 18
_INPUT = select.EPOLLIN | select.EPOLLRDHUP
_FRAME = struct.Struct(">BxxxI")


class Poller:
    """epoll with a callback for each descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}

    def add(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        self._callbacks[descriptor] = callback
        self._epoll.register(descriptor, events)

    def modify(self, descriptor: int, events: int) -> None:
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def poll(self) -> None:
        for descriptor, events in self._epoll.poll():
            callback = self._callbacks.get(descriptor)
            if callback is not None:
                try:
                    callback(events)
                except Exception:  # noqa: BLE001  it is reported, see below
                    # Many containers depend on this process: one that goes wrong must not end it.
                    sys.excepthook(*sys.exc_info())


class Client:
    """One attached connection."""

    __slots__ = (
        "_detach_keys",
        "_keys_seen",
        "closing",
        "ended",
        "events",
        "initial",
        "input_ended",
        "pending",
        "socket",
        "stderr",
        "stdin",
        "stdout",
        "watched",
    )

    def __init__(
        self,
        connection: socket.socket,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        detach_keys: bytes,
        initial: bytes,
    ) -> None:
        self.socket = connection
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.initial = initial
        self.input_ended = False
        self.pending = bytearray()
        self.events = 0
        self.watched = False
        self.ended = False
        self.closing = False
        self._detach_keys = detach_keys
        self._keys_seen = 0
        connection.setblocking(False)

    def input(self, data: bytes) -> tuple[bytes, bool]:
        """What of `data` is meant for the process, and whether the detach keys were completed.

        Keys of a sequence that breaks off are input after all (moby `term.escapeProxy`).
        """
        keys = self._detach_keys
        if not keys:
            return data, False
        if not self._keys_seen and keys[0] not in data:
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == keys[self._keys_seen]:
                self._keys_seen += 1
                if self._keys_seen == len(keys):
                    return bytes(passed), True
                continue
            passed += keys[: self._keys_seen]
            self._keys_seen = 0
            if byte == keys[0]:
                self._keys_seen = 1
            else:
                passed.append(byte)
        return bytes(passed), False


def hang_up(connection: socket.socket) -> None:
    """Close it. With input left unread the kernel would send a reset after the output, and not an end."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
        while connection.recv(_CHUNK):
            continue
    connection.close()


class Stdio:
    """Everything the shim does with the stdio of one process."""

    __slots__ = (
        "_clients",
        "_input",
        "_input_ending",
        "_log",
        "_outputs",
        "_paused",
        "_poller",
        "_stdin",
        "_stdin_events",
        "_stdin_once",
        "closed",
        "open_stdin",
        "terminal",
    )

    def __init__(
        self, poller: Poller, *, terminal: bool, open_stdin: bool, stdin_once: bool, log: Writer | None
    ) -> None:
        self._poller = poller
        self.terminal = terminal
        self.open_stdin = open_stdin
        self._stdin_once = stdin_once
        self._log = log
        self._clients: list[Client] = []
        self._outputs: dict[int, int] = {}
        self._stdin = -1
        self._stdin_events = 0
        self._input = bytearray()
        self._input_ending = False
        self._paused = False
        self.closed = False

    def make_pipes(self) -> tuple[int, int, int]:
        """The child's ends of stdin, stdout, stderr; for a terminal all are /dev/null for now."""
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if self.terminal:
            return null, os.dup(null), os.dup(null)
        stdin = null
        if self.open_stdin:
            os.close(null)
            stdin, self._stdin = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._stdin, False)
        ends = [stdin]
        for stream in (STDOUT, STDERR):
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(ours, False)
            self._outputs[ours] = stream
            ends.append(theirs)
        return ends[0], ends[1], ends[2]

    def abandon(self) -> None:
        """Close our ends of the pipes of a process that could not be forked."""
        for descriptor in (*self._outputs, self._stdin):
            if descriptor >= 0:
                os.close(descriptor)
        self.closed = True

    def set_terminal(self, master: int) -> None:
        os.set_blocking(master, False)
        self._outputs[master] = STDOUT
        self._stdin = master

    @property
    def terminal_master(self) -> int:
        return self._stdin if self.terminal else -1

    def start(self) -> None:
        """Begin to relay. The process may already have written or be gone."""
        for descriptor in self._outputs:
            self._poller.add(descriptor, select.EPOLLIN, partial(self._readable, descriptor))
        for client in self._clients[:]:
            self._begin(client)
        if self._input or self._input_ending:
            self._feed()

    def leave_input(self, client: Client) -> None:
        """What a client had sent that went before the process began: it is input all the same, and its end
        the end."""
        client.socket.setblocking(False)
        data = client.initial
        with contextlib.suppress(OSError):
            while more := client.socket.recv(_CHUNK):
                data += more
        passed, _ = client.input(data) if self.terminal else (data, False)
        self._input += passed
        if self._stdin_once and not self.terminal:
            self._input_ending = True

    def attach(self, client: Client, *, running: bool) -> None:
        self._clients.append(client)
        if running:
            self._begin(client)

    def _begin(self, client: Client) -> None:
        # Without stdin there is nothing to read, yet the end of the connection must be noticed.
        reads = client.stdin and self._stdin >= 0
        client.events = (0 if self._stdin_events else _INPUT) if reads else select.EPOLLRDHUP
        self._poller.add(client.socket.fileno(), client.events, partial(self._client_ready, client))
        client.watched = True
        if client.initial:
            data, client.initial = client.initial, b""
            self._from_client(client, data)

    def _readable(self, descriptor: int, events: int) -> None:
        stream = self._outputs[descriptor]
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            # A terminal whose last process is gone reads EIO.
            if error.errno != errno.EIO:
                raise
            data = b""
        if not data:
            self._close_output(descriptor)
            return
        self._deliver(stream, data)

    def _deliver(self, stream: int, data: bytes) -> None:
        if self._log is not None:
            self._log.write(stream, data)
        full = False
        for client in self._clients[:]:
            if client.ended or not (client.stdout if stream == STDOUT else client.stderr):
                continue
            if not self.terminal:
                client.pending += _FRAME.pack(stream, len(data))
            client.pending += data
            self._flush(client)
            full = full or (not client.ended and len(client.pending) > _HIGH_WATER)
        if full and not self._paused:
            self._paused = True
            for descriptor in self._outputs:
                self._poller.modify(descriptor, 0)

    def _resume(self) -> None:
        if self._paused and all(len(client.pending) < _LOW_WATER for client in self._clients):
            self._paused = False
            for descriptor in self._outputs:
                self._poller.modify(descriptor, select.EPOLLIN)

    def _flush(self, client: Client) -> None:
        try:
            while client.pending:
                sent = client.socket.send(client.pending)
                del client.pending[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        self._watch(client)
        if client.closing and not client.pending:
            self._drop(client)

    def _watch(self, client: Client) -> None:
        events = client.events & ~select.EPOLLOUT
        if client.pending:
            events |= select.EPOLLOUT
        if events != client.events:
            client.events = events
            self._poller.modify(client.socket.fileno(), events)

    def _client_ready(self, client: Client, events: int) -> None:
        if events & (select.EPOLLERR | select.EPOLLHUP):
            self._take_rest(client)
            self._drop(client)
            return
        if events & select.EPOLLOUT:
            self._flush(client)
            self._resume()
            if client.ended:
                return
        if events & select.EPOLLIN:
            try:
                data = client.socket.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                self._drop(client)
                return
            if data:
                self._from_client(client, data)
            else:
                self._input_end(client)
        elif events & select.EPOLLRDHUP:
            self._input_end(client)

    def _take_rest(self, client: Client) -> None:
        """The client is gone; what it sent before is input all the same."""
        with contextlib.suppress(OSError):
            while not client.ended and (data := client.socket.recv(_CHUNK)):
                self._from_client(client, data)

    def _input_end(self, client: Client) -> None:
        """The client has half-closed its side; output to it goes on."""
        client.input_ended = True
        client.events &= ~_INPUT
        self._poller.modify(client.socket.fileno(), client.events)
        if client.stdin and self._stdin_once and not self.terminal:
            self._input_ending = True
            self._feed()

    def _from_client(self, client: Client, data: bytes) -> None:
        if not client.stdin or self._stdin < 0:
            return
        # Without a terminal input is data, whatever it looks like (moby `attach.copyStreams`).
        data, detached = client.input(data) if self.terminal else (data, False)
        self._input += data
        self._feed()
        if detached:
            client.closing = True
            self._flush(client)

    def _feed(self) -> None:
        """Pass input on as far as the process takes it; hold the clients back meanwhile."""
        if self._stdin < 0:
            self._input.clear()
            return
        try:
            while self._input:
                written = os.write(self._stdin, self._input[:_CHUNK])
                del self._input[:written]
        except BlockingIOError:
            self._hold_input(held=True)
            return
        except OSError:
            # The process has closed its stdin (EPIPE), or its terminal is gone (EIO).
            self._input.clear()
            self._close_stdin()
            return
        self._hold_input(held=False)
        if self._input_ending:
            self._close_stdin()

    def _hold_input(self, *, held: bool) -> None:
        if held == bool(self._stdin_events):
            return
        self._stdin_events = select.EPOLLOUT if held else 0
        if self.terminal:
            self._poller.modify(self._stdin, (0 if self._paused else select.EPOLLIN) | self._stdin_events)
        elif held:
            self._poller.add(self._stdin, select.EPOLLOUT, lambda events: self._feed())
        else:
            self._poller.remove(self._stdin)
        for client in self._clients:
            if client.stdin and client.watched and not client.input_ended:
                # Not even the end: there may be input before it that has not been read.
                client.events = client.events & ~_INPUT if held else client.events | _INPUT
                self._poller.modify(client.socket.fileno(), client.events)

    def _close_stdin(self) -> None:
        if self._stdin >= 0 and not self.terminal:
            self._poller.remove(self._stdin)
            os.close(self._stdin)
            self._stdin = -1

    def _close_output(self, descriptor: int) -> None:
        del self._outputs[descriptor]
        self._poller.remove(descriptor)
        os.close(descriptor)
        if descriptor == self._stdin:
            self._stdin = -1

    def _drop(self, client: Client) -> None:
        if client.ended:
            return
        client.ended = True
        self._poller.remove(client.socket.fileno())
        hang_up(client.socket)
        if client in self._clients:
            self._clients.remove(client)
        if not self.closed:
            if client.stdin and self._stdin_once and not self.terminal and not client.closing:
                self._input_ending = True
                self._feed()
            self._resume()

    def drain(self) -> None:
        """The process is gone: relay what is left in its pipes. Idempotent."""
        if self.closed:
            return
        for client in self._clients[:]:
            if not client.watched:
                self._begin(client)
        for descriptor in list(self._outputs):
            os.set_blocking(descriptor, False)
            while True:
                try:
                    data = os.read(descriptor, _CHUNK)
                except OSError:
                    break
                if not data:
                    break
                self._deliver(self._outputs[descriptor], data)
            self._close_output(descriptor)
        self._close_stdin()
        self.closed = True
        if self._log is not None:
            self._log.close()

    def tell(self, text: bytes) -> None:
        """Something that the process did not say, for the clients only."""
        for client in self._clients[:]:
            client.pending += text if self.terminal else _FRAME.pack(STDOUT, len(text)) + text
            self._flush(client)

    def end(self) -> None:
        """Let the clients go, each as soon as it has taken everything."""
        for client in self._clients[:]:
            client.closing = True
            self._flush(client)
