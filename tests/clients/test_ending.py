"""SIGTERM ends the engine whatever is under way, and the next one finds everything whole."""

import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from engine_fixture import LocalEngine

_LONGEST = 10.0


@contextmanager
def silent_registry() -> Iterator[str]:
    """Takes connections and requests, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@contextmanager
def slow_archive(tmp_path: Path) -> Iterator[str]:
    """A URL whose content never ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(512))
                    time.sleep(0.01)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/layer.tar"
        finally:
            server.shutdown()
            thread.join()


def begun(engine: LocalEngine, *words: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "argosy.cli.main", *words],
        env=engine.environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def pulling(engine: LocalEngine, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with silent_registry() as host, begun(engine, "pull", f"{host}/x:1") as client:
        yield client


@contextmanager
def pushing(engine: LocalEngine, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with silent_registry() as host:
        engine.ok("tag", "busybox", f"{host}/x:1")
        with begun(engine, "push", f"{host}/x:1") as client:
            yield client


@contextmanager
def importing(engine: LocalEngine, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with slow_archive(tmp_path) as url, begun(engine, "import", url, "x") as client:
        yield client


@contextmanager
def loading(engine: LocalEngine, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with begun(engine, "load", stdin=subprocess.PIPE) as client:
        assert client.stdin is not None
        client.stdin.write(bytes(100))
        client.stdin.flush()
        yield client


@contextmanager
def building(engine: LocalEngine, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN sleep 1000\n")
    with begun(engine, "build", "--no-cache", str(tmp_path)) as client:
        yield client


@contextmanager
def following(engine: LocalEngine, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    container = engine.ok("run", "-d", "busybox", "sleep", "1000")
    with begun(engine, "logs", "-f", container) as client:
        yield client


Work = Callable[[LocalEngine, Path], AbstractContextManager["subprocess.Popen[bytes]"]]


@pytest.mark.parametrize("work", [pulling, pushing, importing, loading, building, following])
def test_the_engine_ends_whatever_is_under_way(own_engine: LocalEngine, tmp_path: Path, work: Work) -> None:
    with work(own_engine, tmp_path) as client:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline and client.poll() is None:
            time.sleep(0.05)
        assert client.poll() is None, "it has ended before"
        began = time.monotonic()
        own_engine.stop()
        assert time.monotonic() - began < _LONGEST
        if client.stdin is not None:
            client.stdin.close()
        assert client.wait(_LONGEST) != 0
    assert "Traceback" not in own_engine.log
    own_engine.start()
    assert own_engine.ok("run", "--rm", "busybox", "echo", "whole") == "whole"
    assert own_engine.ok("images", "-q", "--filter", "dangling=true") == ""
    own_engine.remove_all()
    own_engine.assert_clean()
