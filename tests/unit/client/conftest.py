"""A server on a unix socket that answers each request with the next of its scripted responses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from argosy.client.transport import Address


class ScriptedServer:
    def __init__(self, path: Path) -> None:
        self.address = Address(f"unix://{path}")
        self.requests: list[tuple[str, bytes]] = []
        self.connections = 0
        self._script: list[bytes | Callable[[socket.socket], None]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def answer(self, *responses: bytes | Callable[[socket.socket], None]) -> None:
        self._script += responses

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, connection.makefile("rb") as stream:
            while self._script:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                self.requests.append((head.decode().split("\r\n")[0], _body(head, stream)))
                response = self._script.pop(0)
                if isinstance(response, bytes):
                    connection.sendall(response)
                else:
                    response(connection)
                    return


def _body(head: bytes, stream: object) -> bytes:
    read = stream.read  # type: ignore[attr-defined]
    readline = stream.readline  # type: ignore[attr-defined]
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        body = b""
        while size := int(readline(), 16):
            body += read(size)
            readline()
        readline()
        return body
    _, found, rest = lowered.partition(b"content-length: ")
    return bytes(read(int(rest.split(b"\r\n")[0]))) if found else b""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScriptedServer]:
    scripted = ScriptedServer(tmp_path / "engine.sock")
    yield scripted
    scripted.stop()
