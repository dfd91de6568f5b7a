"""The same searches by a dockerd and by an engine of ours, of the same index.

The dockerd may be in a network namespace of its own: the index listens there too.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from argosy.linux import namespaces
from engine_fixture import LocalEngine

from .conftest import Oracle
from .engines import network_of

pytestmark = pytest.mark.oracle

_FOUND = [
    {"name": "org/plain", "description": "short", "star_count": 0, "is_official": False},
    {"name": "org/long", "description": "two\nlines of ü " + "x" * 60, "star_count": 3, "is_official": False},
    {"name": "official", "description": "<of> &course", "star_count": 12, "is_official": True},
    {"name": "org/nothing", "description": "", "star_count": 40, "is_official": False, "pull_count": 7},
]
_ANSWERS = {
    "none": (200, b'{"results": []}'),
    "nothing": (200, b"{}"),
    "broken": (500, b"oops"),
    "refused": (401, b"{}"),
}
SEARCHES = """
@/word
--no-trunc @/word
--limit 3 @/word
--limit 0 @/word
--limit -1 @/word
--limit 101 @/word
--limit many @/word
-f stars=9 @/word
-f stars=3 -f stars=12 @/word
-f stars=-1 @/word
-f stars=x @/word
-f is-official=true @/word
-f is-official=0 @/word
-f is-official=TRUE @/word
-f is-official=1 -f is-official=true @/word
-f is-automated=true @/word
-f is-automated=false @/word
-f colour=red @/word
-f colour @/word
--format json @/word
--format '{{json .}}' --no-trunc @/word
--format '{{.Name}} {{.StarCount}} {{.IsOfficial}}' @/word
--format 'table {{.Name}}\\t{{.StarCount}}\\t{{.IsOfficial}}\\t{{.Description}}' @/word
--format {{.IsAutomated}} @/word
--format {{.Name @/word
@/a/b
"@/two words"
@/
@/none
@/nothing
@/broken
@/refused
http://@/word
""".strip().splitlines()


@dataclass
class Index:
    theirs: str
    ours: str
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def index(oracle: Oracle) -> Iterator[Index]:
    listeners = [socket.create_server(("127.0.0.1", 0)), _listener_in(network_of(oracle.host))]
    ours, theirs = [f"localhost:{listener.getsockname()[1]}" for listener in listeners]
    found = Index(theirs, ours)
    with contextlib.ExitStack() as stack:
        for listener in listeners:
            stack.enter_context(_serving(listener, found))
        yield found


def _listener_in(network: str) -> socket.socket:
    """A socket stays in the namespace of the thread that made it."""
    made = []

    def make() -> None:
        namespace = os.open(network, os.O_RDONLY)
        try:
            namespaces.setns(namespace)
        finally:
            os.close(namespace)
        made.append(socket.create_server(("127.0.0.1", 0)))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


@contextlib.contextmanager
def _serving(listener: socket.socket, index: Index) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            status, body = 200, b"true"
            if self.path.startswith("/v1/search"):
                index.asked.append((self.path, self.headers.get("Authorization", "")))
                word = parse_qs(urlsplit(self.path).query).get("q", [""])[0]
                everything = json.dumps({"num_results": len(_FOUND), "results": _FOUND}).encode()
                status, body = _ANSWERS.get(word, (200, everything))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _searched(oracle: Oracle, engine: LocalEngine, index: Index, line: str) -> list[tuple[object, ...]]:
    """What docker and what argosy said and asked for."""
    outcomes: list[tuple[object, ...]] = []
    for client, host, address in (
        (oracle.docker, oracle.host, index.theirs),
        (oracle.ours, engine.host, index.ours),
    ):
        index.asked.clear()
        answer = client("search", *shlex.split(line.replace("@", address)), host=host)
        texts = [
            text.replace(address, "@").replace("argosy", "docker") for text in (answer.stdout, answer.stderr)
        ]
        outcomes.append((answer.code, *texts, list(index.asked)))
    return outcomes


@pytest.mark.parametrize("line", SEARCHES)
def test_a_search_says_what_docker_says(
    oracle: Oracle, shared_engine: LocalEngine, index: Index, line: str
) -> None:
    theirs, ours = _searched(oracle, shared_engine, index, line)
    assert ours == theirs


def test_a_login_is_shown_to_the_index(
    oracle: Oracle,
    shared_engine: LocalEngine,
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = {address: {"auth": "YW5uYTpzZWNyZXQ="} for address in (index.theirs, index.ours)}
    (tmp_path / "config.json").write_text(json.dumps({"auths": kept}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    theirs, ours = _searched(oracle, shared_engine, index, "@/word")
    assert ours == theirs
    assert index.asked == [("/v1/search?q=word&n=25", "Basic YW5uYTpzZWNyZXQ=")]
