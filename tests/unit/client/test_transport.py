"""HTTP as the engine speaks it, from a server that sends exactly these bytes."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from argosy.client.errors import APIError, ConnectionFailed, ProtocolError
from argosy.client.transport import SHUT_WR, Address, Connection

from .conftest import ScriptedServer

JSON = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"a":[1,2]}'


def connect(server: ScriptedServer) -> Connection:
    return Connection(server.address)


def test_reads_a_body_of_a_stated_length(server: ScriptedServer) -> None:
    server.answer(JSON)
    connection = connect(server)
    assert connection.request("GET", "/x").json() == {"a": [1, 2]}
    connection.close()
    assert server.requests == [("GET /x HTTP/1.1", b"")]


def test_keeps_the_connection_for_the_next_request(server: ScriptedServer) -> None:
    server.answer(JSON, JSON)
    connection = connect(server)
    connection.request("GET", "/1").read()
    connection.request("POST", "/2", b"{}").read()
    connection.close()
    assert server.connections == 1
    assert server.requests[1] == ("POST /2 HTTP/1.1", b"{}")


def test_connects_again_when_the_server_closed_the_kept_connection(server: ScriptedServer) -> None:
    server.answer(lambda stream: stream.sendall(JSON))
    connection = connect(server)
    connection.request("GET", "/1").read()
    server.answer(JSON)
    try:
        connection.request("GET", "/2").read()
    except ProtocolError:
        connection.request("GET", "/2").read()
    connection.close()
    assert server.connections == 2


def test_joins_chunks_whatever_pieces_they_arrive_in(server: ScriptedServer) -> None:
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n"

    def drip(stream: socket.socket) -> None:
        for place in range(len(wire)):
            stream.sendall(wire[place : place + 1])

    server.answer(drip)
    connection = connect(server)
    assert connection.request("GET", "/x").read() == b"abcdefgh"
    connection.close()


def test_reads_to_the_end_of_the_connection_when_no_length_is_stated(server: ScriptedServer) -> None:
    server.answer(lambda stream: stream.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it"))
    assert connect(server).request("GET", "/x").read() == b"all of it"


@pytest.mark.parametrize(
    "body", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"HTTP/1.1 200 OK\r\nContent"]
)
def test_says_so_when_the_connection_ends_too_early(server: ScriptedServer, body: bytes) -> None:
    server.answer(lambda stream: stream.sendall(body))
    with pytest.raises(ProtocolError):
        connect(server).request("GET", "/x").read()


def test_refuses_what_is_not_http(server: ScriptedServer) -> None:
    server.answer(b"SSH-2.0-OpenSSH\r\n\r\n")
    with pytest.raises(ProtocolError, match="does not speak HTTP"):
        connect(server).request("GET", "/x")


def test_raises_the_message_of_an_error(server: ScriptedServer) -> None:
    server.answer(b'HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\n\r\n{"message":"no such it"}')
    connection = connect(server)
    with pytest.raises(APIError, match="no such it") as caught:
        connection.request("GET", "/x")
    connection.close()
    assert caught.value.status == 404


def test_takes_the_text_of_an_error_that_is_not_json(server: ScriptedServer) -> None:
    server.answer(b"HTTP/1.1 500 Oops\r\nContent-Length: 6\r\n\r\nbroken")
    connection = connect(server)
    with pytest.raises(APIError, match="broken"):
        connection.request("GET", "/x")
    connection.close()


def test_skips_interim_responses(server: ScriptedServer) -> None:
    server.answer(b"HTTP/1.1 100 Continue\r\n\r\n" + JSON)
    connection = connect(server)
    assert connection.request("GET", "/x").status == 200
    connection.close()


def test_a_response_to_head_has_no_body(server: ScriptedServer) -> None:
    server.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nX-Stat: here\r\n\r\n", JSON)
    connection = connect(server)
    response = connection.request("HEAD", "/x")
    assert response.read() == b""
    assert response.headers["x-stat"] == "here"
    assert connection.request("GET", "/y").json() == {"a": [1, 2]}
    connection.close()


def test_sends_a_body_of_unknown_length_in_chunks(server: ScriptedServer) -> None:
    server.answer(JSON)
    connection = connect(server)
    connection.request("POST", "/load", iter([b"one", b"", b"two"])).read()
    connection.close()
    assert server.requests == [("POST /load HTTP/1.1", b"onetwo")]


@pytest.mark.parametrize("status", [b"101 UPGRADED", b"200 OK"])
def test_hijack_gives_what_arrived_behind_the_headers_first(server: ScriptedServer, status: bytes) -> None:
    def converse(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Type: raw\r\n\r\nearly")
        received = b""
        while data := stream.recv(100):
            received += data
        stream.sendall(b"got " + received)

    server.answer(converse)
    stream, rest = connect(server).request("POST", "/attach", b"").hijack()
    while len(rest) < 5:
        rest += stream.recv(100)
    assert rest == b"early"
    stream.sendall(b"input")
    stream.shutdown(SHUT_WR)
    answer = b""
    while data := stream.recv(100):
        answer += data
    stream.close()
    assert answer == b"got input"


def test_messages_come_one_by_one_however_they_are_cut(server: ScriptedServer) -> None:
    wire = '{"a":1}\r\n{"b":"é"} {"c":[{}]}\n'.encode()

    def drip(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for place in range(len(wire)):
            stream.sendall(b"1\r\n" + wire[place : place + 1] + b"\r\n")
        stream.sendall(b"0\r\n\r\n")

    server.answer(drip)
    connection = connect(server)
    assert list(connection.request("GET", "/events").messages()) == [{"a": 1}, {"b": "é"}, {"c": [{}]}]
    connection.close()


def test_nothing_that_listens_is_a_connection_failure(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        Connection(Address(f"unix://{tmp_path}/none")).request("GET", "/x")
    assert caught.value.address == f"unix://{tmp_path}/none"


def test_speaks_over_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.recv(1000)
                stream.sendall(JSON)

        thread = threading.Thread(target=serve)
        thread.start()
        connection = Connection(Address(f"tcp://127.0.0.1:{port}"))
        assert connection.request("GET", "/x").json() == {"a": [1, 2]}
        connection.close()
        thread.join()


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="unable to parse docker host"):
        Address("gopher://x")
