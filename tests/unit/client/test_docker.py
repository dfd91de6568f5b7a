"""The client's own rules: versions, queries, many requests at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from argosy.client.docker import Client, query_string, quote
from argosy.client.errors import APIError, ConnectionFailed
from argosy.client.transport import Address

from .conftest import ScriptedServer


def response(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


TOO_NEW = b'{"message":"client version 1.51 is too new. Maximum supported API version is 1.41"}'


def test_repeats_the_request_in_the_engines_version(server: ScriptedServer) -> None:
    server.answer(response(400, TOO_NEW), response(200, b"[]"), response(200, b"[]"))
    client = Client(server.address)
    assert client.list_containers() == []
    assert client.list_containers() == []
    assert [line.split()[1] for line, _ in server.requests] == [
        "/v1.51/containers/json",
        "/v1.41/containers/json",
        "/v1.41/containers/json",
    ]
    client.connection().close()


def test_other_errors_are_raised_as_they_are(server: ScriptedServer) -> None:
    server.answer(response(400, b'{"message":"bad parameter"}'))
    client = Client(server.address)
    with pytest.raises(APIError, match="bad parameter"):
        client.list_containers()
    client.connection().close()


def test_each_gives_the_outcomes_in_order(server: ScriptedServer) -> None:
    server.answer(*[response(204, b"")] * 3)
    client = Client(server.address)
    outcomes = list(client.each("DELETE", [f"/containers/{name}" for name in "abc"], {"force": True}))
    assert outcomes == [None, None, None]
    assert {line.split()[1] for line, _ in server.requests} == {
        f"/v1.51/containers/{name}?force=1" for name in "abc"
    }
    assert server.connections == 3
    for connection in client._connections:
        connection.close()


def test_asks_for_the_engine_once_when_nothing_answers(tmp_path: Path) -> None:
    asked = []

    def refuse(failure: ConnectionFailed) -> bool:
        asked.append(failure.address)
        return False

    client = Client(Address(f"unix://{tmp_path}/none"), on_refused=refuse)
    with pytest.raises(ConnectionFailed):
        client.info()
    assert len(asked) == 1


def test_query_strings_leave_out_what_is_empty() -> None:
    query = {
        "a": True,
        "b": False,
        "c": "",
        "d": None,
        "e": {},
        "f": ["x", "y z"],
        "g": {"k": {"v": True}},
        "h": 0,
    }
    assert query_string(query) == "?a=1&f=x&f=y%20z&g=%7B%22k%22%3A%7B%22v%22%3Atrue%7D%7D&h=0"
    assert query_string({}) == ""


def test_quotes_all_but_what_is_safe() -> None:
    assert quote("a/b:c é") == "a%2Fb%3Ac%20%C3%A9"
    assert quote("a/b:c", b"/:") == "a/b:c"
