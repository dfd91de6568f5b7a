"""The user's terminal or pipes on one side, a container's stream on the other.

One loop moves the bytes both ways and never blocks on either: while the engine does not take input, output
is still read, since a container that echoes what it is sent would otherwise stop both. Signals wake the loop
through a pipe and are dealt with between two moves.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
import select

from argosy.cli.detach import KeyFilter
from argosy.client.stdstream import Demultiplexer, write_all
from argosy.client.transport import MSG_DONTWAIT, READ_SIZE, SHUT_WR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from argosy.client.transport import Stream

STDIN, STDOUT, STDERR = 0, 1, 2
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_FORCE_AFTER = 3

# Not SIGCHLD and SIGPIPE, which are the client's own, nor those that cannot be caught.
PROXIED = {
    _signal.SIGHUP: "HUP",
    _signal.SIGINT: "INT",
    _signal.SIGQUIT: "QUIT",
    _signal.SIGUSR1: "USR1",
    _signal.SIGUSR2: "USR2",
    _signal.SIGALRM: "ALRM",
    _signal.SIGTERM: "TERM",
    _signal.SIGCONT: "CONT",
    _signal.SIGTSTP: "TSTP",
    _signal.SIGTTIN: "TTIN",
    _signal.SIGTTOU: "TTOU",
}


class Signals:
    """Caught signals as bytes on a pipe, so that `poll` sees them."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    @staticmethod
    def catch(number: int) -> None:
        _signal.signal(number, _noted)

    def pending(self) -> bytes:
        try:
            return os.read(self.reader, 512)
        except BlockingIOError:
            return b""


def _noted(number: int, frame: object) -> None:
    # Python writes the number to the wakeup descriptor; a handler is needed for it to do so.
    return


class Interrupted(Exception):
    """The user asked three times; the container does not listen."""


class Session:
    def __init__(
        self,
        stream: Stream,
        rest: bytes = b"",
        *,
        tty: bool,
        stdin: bool,
        stdout: bool = True,
        stderr: bool = True,
        detach_keys: bytes = b"",
    ) -> None:
        self._stream = stream
        self._rest = rest
        self._stdin = stdin
        self._keys = KeyFilter(detach_keys) if tty and stdin and detach_keys else None
        self._out = STDOUT if stdout else os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        err = STDERR if stderr else os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._frames = None if tty else Demultiplexer(self._out, err)
        self._unsent = b""
        self._closing = False
        self._signals: Signals | None = None
        self._handlers: dict[int, Callable[[], None]] = {}

    def on_signal(self, number: int, handler: Callable[[], None]) -> None:
        if self._signals is None:
            self._signals = Signals()
        self._handlers[number] = handler
        self._signals.catch(number)

    def proxy_signals(self, send: Callable[[str], None]) -> None:
        """Pass signals on. The third interruption in a row ends the client instead."""
        asked = 0

        def passing(number: int, name: str) -> Callable[[], None]:
            def handle() -> None:
                nonlocal asked
                if number in (_signal.SIGINT, _signal.SIGTERM):
                    asked += 1
                    if asked >= _FORCE_AFTER:
                        raise Interrupted
                send(name)

            return handle

        for number, name in PROXIED.items():
            self.on_signal(number, passing(number, name))

    def run(self) -> bool:
        """Until the stream ends: True. False when the user typed the detach keys."""
        if self._rest:
            self._receive(self._rest)
        poll = select.poll()
        stream = self._stream.fileno()
        poll.register(stream, select.POLLIN)
        if self._stdin:
            poll.register(STDIN, select.POLLIN)
        if self._signals is not None:
            poll.register(self._signals.reader, select.POLLIN)
        while True:
            for descriptor, event in poll.poll():
                if descriptor == stream:
                    if event & _READABLE and not self._pump_out():
                        return True
                    if event & select.POLLOUT:
                        self._pump_in(poll)
                elif descriptor == STDIN:
                    if not self._read_input(poll, stream):
                        return False
                else:
                    self._handle_signals()

    def _pump_out(self) -> bool:
        try:
            data = self._stream.recv(READ_SIZE)
        except ConnectionResetError:
            return False
        if data:
            self._receive(data)
        return bool(data)

    def _receive(self, data: bytes) -> None:
        if self._frames is None:
            write_all(self._out, [memoryview(data)])
        else:
            self._frames.feed(data)

    def _read_input(self, poll: select.poll, stream: int) -> bool:
        try:
            data = os.read(STDIN, READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            # A closed descriptor, or a terminal that hung up, has nothing more to say.
            data = b""
        detached = False
        if not data:
            self._closing = True
            poll.unregister(STDIN)
        elif self._keys is not None:
            data, detached = self._keys.feed(data)
        self._unsent += data
        self._pump_in(poll, fresh=True)
        if detached:
            return False
        if self._unsent:
            poll.modify(stream, select.POLLIN | select.POLLOUT)
            if not self._closing:
                poll.unregister(STDIN)
        return True

    def _pump_in(self, poll: select.poll, *, fresh: bool = False) -> None:
        """Send what the engine takes now; with everything sent, listen to stdin again."""
        if self._unsent:
            try:
                self._unsent = self._unsent[self._send(self._unsent) :]
            except (BrokenPipeError, ConnectionResetError):
                # The container closed its stdin; its output may still be coming.
                self._unsent = b""
        if self._unsent:
            return
        if not fresh:
            poll.modify(self._stream.fileno(), select.POLLIN)
            if not self._closing:
                poll.register(STDIN, select.POLLIN)
        if self._closing:
            self._half_close()

    def _send(self, data: bytes) -> int:
        try:
            return self._stream.send(data, MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _half_close(self) -> None:
        self._closing = False
        self._stdin = False
        try:
            self._stream.shutdown(SHUT_WR)
        except OSError:
            # The engine has closed its side already; nothing is left to tell it.
            return

    def _handle_signals(self) -> None:
        if self._signals is None:
            return
        for number in self._signals.pending():
            handler = self._handlers.get(number)
            if handler is not None:
                handler()
