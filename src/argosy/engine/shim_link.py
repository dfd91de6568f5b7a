"""The engine's end of the connection to the shim."""

import asyncio
import base64
import contextlib
import errno
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from argosy import __version__
from argosy.errors import ArgosyError, Conflict, InvalidParameter, NotFound, Unavailable
from argosy.runtime import protocol
from argosy.runtime.shim import SOCKET_NAME

log = logging.getLogger("argosy")
_START_PATIENCE = 10.0
_KINDS: dict[str, type[ArgosyError]] = {
    "refused": InvalidParameter,
    "missing": NotFound,
    "failed": ArgosyError,
}


class ShimError(ArgosyError):
    """What the shim, or a child of it, could not do. `refused`: for a reason that the user can mend."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = _KINDS[kind].status


class ShimLink:
    """`on_event` gets `known` and `exited` messages."""

    def __init__(self, run: str, log: str, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._run = run
        self._log = log
        self._on_event = on_event
        self._socket: socket.socket | None = None
        self._sequence = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._outbox: list[tuple[dict[str, Any], tuple[int, ...]]] = []
        self.pid = 0

    async def connect(self) -> None:
        """Connect to the shim that runs, or start one. Raises Unavailable."""
        path = os.path.join(self._run, SOCKET_NAME)
        connection = _try_connect(path)
        if connection is None:
            await asyncio.to_thread(self._spawn)
            deadline = time.monotonic() + _START_PATIENCE
            while connection is None:
                if time.monotonic() > deadline:
                    raise Unavailable("argosy-shim does not start", hint=f"See {self._log}.")
                await asyncio.sleep(0.005)
                connection = _try_connect(path)
        connection.setblocking(False)
        self._socket = connection
        asyncio.get_running_loop().add_reader(connection.fileno(), self._readable)
        answer = await self.ask({"op": "hello"})
        self.pid = answer["pid"]
        if answer.get("version") != __version__:
            await self._replace(answer.get("version", "an unknown version"))

    async def _replace(self, version: str) -> None:
        """A shim of another version looks after its containers until they end; an idle one is replaced."""
        path = os.path.join(self._run, SOCKET_NAME)
        try:
            await self.ask({"op": "shutdown"})
        except ShimError as error:
            log.warning("argosy-shim is of %s and stays until its containers have ended: %s", version, error)
            return
        self.close()
        while os.path.exists(path):
            await asyncio.sleep(0.005)
        await self.connect()

    def _spawn(self) -> None:
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        # Without the site module: a third of the memory, and the shim needs the standard library only.
        program = f"import sys; sys.path.insert(0, {package!r}); from argosy.runtime.shim import main; main()"
        with open(self._log, "ab") as log:
            subprocess.Popen(
                [sys.executable, "-S", "-c", program, self._run],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
            )

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def ask(
        self, body: dict[str, Any], descriptors: tuple[int, ...] = ()
    ) -> "asyncio.Future[dict[str, Any]]":
        """The answer. Fails with ShimError, Unavailable."""
        self._sequence += 1
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._sequence] = future
        self._send({**body, "seq": self._sequence}, descriptors)
        return future

    def tell(self, body: dict[str, Any]) -> None:
        self._send(body, ())

    async def attach(
        self,
        connection: socket.socket,
        container: str,
        exec_id: str,
        *,
        stdin: bool,
        stdout: bool,
        stderr: bool,
        detach_keys: bytes,
        initial: bytes,
    ) -> None:
        """Hand a client's connection over; the caller's copy may be closed afterwards."""
        # As a file, since a message holds less than a client may have sent.
        sent = os.memfd_create("initial", os.MFD_CLOEXEC)
        try:
            os.write(sent, initial)
            answer = self.ask(
                {
                    "op": "attach",
                    "id": container,
                    "exec": exec_id,
                    "stdin": stdin,
                    "stdout": stdout,
                    "stderr": stderr,
                    "detach_keys": base64.b64encode(detach_keys).decode(),
                },
                (connection.fileno(), sent),
            )
        finally:
            os.close(sent)
        await answer

    async def signal(self, container: str, exec_id: str, number: int) -> None:
        """Raises Conflict when the process is gone."""
        try:
            await self.ask({"op": "signal", "id": container, "exec": exec_id, "signal": number})
        except ShimError as error:
            if error.kind != "missing":
                raise
            raise Conflict(f"container {container} is not running") from None

    def _send(self, body: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        if self._socket is None:
            raise Unavailable("argosy-shim is not connected")
        kept = tuple(os.dup(descriptor) for descriptor in descriptors) if descriptors else ()
        self._outbox.append((body, kept))
        if len(self._outbox) == 1:
            self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._socket is not None
        while self._outbox:
            body, descriptors = self._outbox[0]
            try:
                protocol.send(self._socket, body, descriptors)
            except BlockingIOError:
                loop.add_writer(self._socket.fileno(), self._flush)
                return
            except OSError as error:
                self._lost(error)
                return
            del self._outbox[0]
            for descriptor in descriptors:
                os.close(descriptor)
        loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        assert self._socket is not None
        while self._socket is not None:
            try:
                message, _ = protocol.receive(self._socket)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(error)
                return
            if message is None:
                self._lost(ConnectionResetError(errno.ECONNRESET, "the shim has ended"))
                return
            if "event" in message:
                self._on_event(message)
            else:
                self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        future = self._answers.pop(message["seq"], None)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(ShimError(message["error"], message["kind"]))
        else:
            future.set_result(message)

    def _lost(self, error: OSError) -> None:
        self.close()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(Unavailable(f"argosy-shim does not answer: {error}"))
        self._answers.clear()
        self._on_event({"event": "lost"})


def _try_connect(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * protocol.MAX_MESSAGE)
    return connection
