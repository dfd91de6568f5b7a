"""Attaching by WebSocket, as docker-py and browsers do."""

import socket
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
)

from engine_fixture import LocalEngine


class WebSocket:
    def __init__(self, engine: LocalEngine, container: str, **query: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(engine.host.removeprefix("unix://"))
        self._protocol = WSConnection(ConnectionType.CLIENT)
        target = f"/v1.51/containers/{container}/attach/ws?{urlencode(query)}"
        self.send(Request(host="localhost", target=target))
        self._events = self._received()

    def send(self, event: Request | BytesMessage | CloseConnection | Ping) -> None:
        self._socket.sendall(self._protocol.send(event))

    def next(self) -> object:
        return next(self._events)

    def _received(self) -> Iterator[object]:
        while data := self._socket.recv(1 << 16):
            self._protocol.receive_data(data)
            yield from self._protocol.events()

    def until_closed(self) -> bytes:
        parts = []
        for event in self._events:
            if isinstance(event, CloseConnection):
                break
            assert isinstance(event, BytesMessage)
            parts.append(bytes(event.data))
        return b"".join(parts)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def talker(engine: LocalEngine) -> str:
    script = "while read line; do echo out $line; echo err $line >&2; done"
    return engine.ok("create", "-i", "busybox", "sh", "-c", script)


def test_both_streams_come_raw_and_input_goes(engine: LocalEngine, talker: str) -> None:
    client = WebSocket(engine, talker, stream=1, stdin=1, stdout=1, stderr=1)
    assert isinstance(client.next(), AcceptConnection)
    engine.ok("start", talker)
    client.send(Ping(b"there?"))
    assert isinstance(client.next(), Pong)
    client.send(BytesMessage(b"a\nb\n"))
    seen = b""
    while seen.count(b"\n") < 4:
        event = client.next()
        assert isinstance(event, BytesMessage)
        seen += event.data
    assert sorted(seen.split(b"\n")) == [b"", b"err a", b"err b", b"out a", b"out b"]
    engine.ok("stop", "-t", "0", talker)
    assert client.until_closed() == b""
    client.close()


def test_only_what_is_asked_for_comes(engine: LocalEngine) -> None:
    made = engine.ok("create", "busybox", "sh", "-c", "echo out; echo err >&2")
    client = WebSocket(engine, made, stream=1, stderr=1)
    assert isinstance(client.next(), AcceptConnection)
    engine.ok("start", made)
    assert client.until_closed() == b"err\n"
    client.close()
    client = WebSocket(engine, made, logs=1, stdout=1)
    assert isinstance(client.next(), AcceptConnection)
    assert client.until_closed() == b"out\n"
    client.close()


def test_the_end_of_a_client_is_the_end_of_its_input(engine: LocalEngine) -> None:
    made = engine.ok("create", "-i", "busybox", "cat")
    client = WebSocket(engine, made, stream=1, stdin=1, stdout=1)
    assert isinstance(client.next(), AcceptConnection)
    engine.ok("start", made)
    client.send(BytesMessage(b"text"))
    event = client.next()
    assert isinstance(event, BytesMessage)
    assert event.data == b"text"
    client.send(CloseConnection(1000))
    assert client.until_closed() == b""
    client.close()
    assert engine.ok("wait", made) == "0"


def test_a_handshake_that_is_none_is_refused(engine: LocalEngine, talker: str) -> None:
    client = WebSocket(engine, "none", stream=1)
    assert isinstance(client.next(), RejectConnection)
    client.close()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(engine.host.removeprefix("unix://"))
        raw.sendall(f"GET /v1.51/containers/{talker}/attach/ws HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b"400 " in raw.recv(1000).split(b"\r\n")[0]
