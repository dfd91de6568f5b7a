"""Clients that go away at any byte leave nothing behind: no descriptor, no memory, no complaint."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import routes
from engine_fixture import LocalEngine

# How far the client gets.
HangUp = Callable[[socket.socket, bytes], None]


@pytest.fixture(scope="module")
def engine(module_engine: LocalEngine) -> Iterator[LocalEngine]:
    module_engine.ok(
        "run", "-d", "--name", "runs", "busybox", "sh", "-c", "while echo line; do sleep 1; done"
    )
    module_engine.ok("run", "-di", "--name", "reads", "busybox", "cat")
    module_engine.ok("create", "--name", "idle", "busybox", "true")
    yield module_engine


def connected(engine: LocalEngine) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(f"{engine.run}/argosy.sock")
    return connection


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: h", *headers]
    if body or method in ("POST", "PUT"):
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(engine: LocalEngine, data: bytes) -> bytes:
    with connected(engine) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while more := connection.recv(1 << 16):
            found += more
    return found


def document(engine: LocalEngine, method: str, path: str, body: object = None) -> dict[str, object]:
    data = json.dumps(body).encode() if body is not None else b""
    found: dict[str, object] = json.loads(
        answer(engine, request(method, path, data, "Connection: close")).partition(b"\r\n\r\n")[2]
    )
    return found


def descriptors(pid: int) -> list[str]:
    """What is open. SQLite keeps those of readers and takes them again (its "How To Corrupt", 2.2)."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(path for path in found if not path.endswith("/argosy.db"))


def shim_of(engine: LocalEngine) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            if b"-c" in words and os.fsencode(engine.run) in words:
                found.append(int(entry))
    return found


class Steady:
    """The engine's processes have no more open at the end than at the beginning, and did not complain."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._pids = [engine.pid, *shim_of(engine)]
        self._before: dict[int, int] = {}
        self._said = 0

    def __enter__(self) -> None:
        # Threads and connections to the database that come with use.
        for _ in range(3):
            document(self._engine, "GET", "/containers/json?all=1")
        self._before = {pid: len(descriptors(pid)) for pid in self._pids}
        self._said = len(self._engine.log)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        # Connections are taken in turn: with this one's answer, all before it have been.
        document(self._engine, "GET", "/containers/json?all=1")
        deadline = time.monotonic() + 20
        while (grown := self._grown()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not grown, "\n".join(map(str, grown.items()))
        assert "Traceback" not in self._engine.log[self._said :]

    def _grown(self) -> dict[str, list[str]]:
        """What is open in those that have more than before; a few for threads that come and go."""
        return {
            f"{pid} had {before}": found
            for pid, before in self._before.items()
            if len(found := descriptors(pid)) > before + 6
        }


def at_once(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)


def in_the_answer(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    with contextlib.suppress(TimeoutError, ConnectionError):
        connection.settimeout(0.2)
        connection.recv(20)


def half_closed(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def with_more_behind(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data + b"GET /_ping HT")


_WAYS: list[HangUp] = [at_once, in_the_answer, half_closed, with_more_behind]
_STREAMS = {
    "attach": ("POST", "/containers/reads/attach?stream=1&stdin=1&stdout=1", b""),
    "attach to logs": ("POST", "/containers/runs/attach?stream=1&logs=1&stdout=1", b""),
    "logs": ("GET", "/containers/runs/logs?follow=1&stdout=1", b""),
    "events": ("GET", "/events", b""),
    "stats": ("GET", "/containers/runs/stats", b""),
    "wait": ("POST", "/containers/runs/wait", b""),
    "export": ("GET", "/containers/idle/export", b""),
    "archive": ("GET", "/containers/runs/archive?path=/bin", b""),
    "save": ("GET", "/images/busybox/get", b""),
}


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("name", _STREAMS)
def test_a_stream_that_nobody_reads_ends(engine: LocalEngine, name: str, way: HangUp) -> None:
    method, path, body = _STREAMS[name]
    with Steady(engine):
        for upgrade in ((), ("Connection: Upgrade", "Upgrade: tcp")):
            for _ in range(15):
                with connected(engine) as connection:
                    way(connection, request(method, path, body, *upgrade))


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("tty", [False, True])
def test_an_exec_that_nobody_attends_leaves_nothing(engine: LocalEngine, way: HangUp, tty: bool) -> None:
    config = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True, "Tty": tty}
    with Steady(engine):
        for number in range(20):
            identifier = document(engine, "POST", "/containers/runs/exec", config)["Id"]
            upgrade = ("Connection: Upgrade", "Upgrade: tcp") if number % 2 else ()
            with connected(engine) as connection:
                way(connection, request("POST", f"/exec/{identifier}/start", b'{"Tty":false}', *upgrade))
        engine.ok("restart", "-t", "0", "runs")


def test_a_request_that_breaks_off_at_any_byte_leaves_nothing(engine: LocalEngine) -> None:
    config = json.dumps({"Image": "busybox", "Cmd": ["true"], "Labels": {"cut": "off"}}).encode()
    whole = request("POST", "/v1.51/containers/create", config)
    with Steady(engine):
        for length in range(len(whole)):
            with connected(engine) as connection:
                connection.sendall(whole[:length])
                if length % 2:
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1)
    assert engine.ok("ps", "-aq", "--filter", "label=cut=off") == ""


def test_any_request_may_be_left_at_any_moment(engine: LocalEngine) -> None:
    """Each of the API's operations, on what there is and on what there is not."""
    with Steady(engine):
        for method, pattern in routes.all_routes():
            for name in ("idle", "none"):
                whole = request(method, routes.filled(pattern, name), b'{"Image":"busybox"}')
                broken = [(cut, way) for cut in (len(whole) // 2, len(whole) - 10) for way in _WAYS[::2]]
                for cut, way in [*broken, *((len(whole), way) for way in _WAYS)]:
                    with connected(engine) as connection, contextlib.suppress(ConnectionError):
                        way(connection, whole[:cut])
            if engine.argosy("container", "inspect", "idle").code:
                engine.ok("create", "--name", "idle", "busybox", "true")
            assert engine.answers()
        # Some requests are still being carried out.
        deadline = time.monotonic() + 20
        while made := engine.ok("ps", "-aq", "--filter", "status=created").split():
            assert time.monotonic() < deadline, made
            engine.argosy("rm", "-f", *made)
        engine.argosy("start", "runs", "reads")
        engine.ok("create", "--name", "idle", "busybox", "true")


def memory(engine: LocalEngine) -> int:
    """Of the engine, anonymous, in MiB."""
    with open(f"/proc/{engine.pid}/status") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("RssAnon"))


@pytest.mark.parametrize("path", ["/containers/runs/wait", "/containers/none/start", "/events", "/_ping"])
def test_a_body_that_nobody_reads_takes_no_memory(engine: LocalEngine, path: str) -> None:
    method = "POST" if "containers" in path else "GET"
    before = memory(engine)
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {1 << 30}\r\n\r\n".encode()
    with Steady(engine), contextlib.ExitStack() as opened:
        for _ in range(4):
            connection = opened.enter_context(connected(engine))
            connection.sendall(head)
            connection.settimeout(0.3)
            with contextlib.suppress(TimeoutError, ConnectionError):
                for _ in range(200):
                    connection.sendall(bytes(1 << 20))
        assert memory(engine) < before + 60
