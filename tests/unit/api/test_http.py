"""One connection of the API, over a real Unix socket."""

import asyncio
import contextlib
import json
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from argosy.api.body import BodySink, BodySource
from argosy.api.http import Connection, Request, Response, document, no_content
from argosy.errors import Conflict, InvalidParameter, NotModified

Handler = Callable[[Request], Awaitable[Response | None]]
HEADERS = [("Server", "Test")]


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        raw = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode()
        first, *rest = raw.strip().split("\r\n")
        return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await asyncio.wait_for(self.reader.readline(), 5)).strip(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
            return status, headers, body
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", "0")))

    async def ended(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(1), 5) == b""
        return True


def request(method: str = "GET", target: str = "/", body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: docker"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def serve(path: Path, handler: Handler, talk: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """Run `talk` against a server whose every request goes to `handler`."""

    async def main() -> None:
        connections: set[Connection] = set()
        loop = asyncio.get_running_loop()
        address = os.fspath(path / "s")
        server = await loop.create_unix_server(lambda: Connection(handler, connections, HEADERS), address)
        reader, writer = await asyncio.open_unix_connection(address)
        try:
            await asyncio.wait_for(talk(Client(reader, writer)), 10)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            server.close()
            for connection in list(connections):
                connection.end()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not connections

    asyncio.run(main())


async def echo(request: Request) -> Response:
    return document({"method": request.method, "path": request.path, "body": (await request.body()).decode()})


def test_a_request_is_answered_and_the_connection_kept(tmp_path: Path) -> None:
    async def talk(client: Client) -> None:
        for number in range(3):
            await client.send(request("POST", f"/x/{number}", b"hello"))
            status, headers, body = await client.answer()
            assert (status, headers["server"], headers["content-type"]) == (200, "Test", "application/json")
            assert json.loads(body) == {"method": "POST", "path": f"/x/{number}", "body": "hello"}

    serve(tmp_path, echo, talk)


def test_requests_sent_together_are_answered_in_order(tmp_path: Path) -> None:
    running = 0

    async def slow(request: Request) -> Response:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.02 if request.path == "/1" else 0)
        running -= 1
        return await echo(request)

    async def talk(client: Client) -> None:
        await client.send(request("GET", "/1") + request("POST", "/2", b"two") + request("GET", "/3"))
        for number, body in (("1", ""), ("2", "two"), ("3", "")):
            answer = json.loads((await client.answer())[2])
            assert (answer["path"], answer["body"]) == (f"/{number}", body)

    serve(tmp_path, slow, talk)


def test_a_chunked_body_is_put_together(tmp_path: Path) -> None:
    async def talk(client: Client) -> None:
        await client.send(request("POST", "/", Transfer_Encoding="chunked"))
        for part in (b"5\r\nhello\r\n", b"1\r\n \r\n", b"5\r\nthere\r\n", b"0\r\n\r\n"):
            await client.send(part)
            await asyncio.sleep(0.002)
        assert json.loads((await client.answer())[2])["body"] == "hello there"

    serve(tmp_path, echo, talk)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(tmp_path: Path) -> None:
    async def talk(client: Client) -> None:
        await client.send(request("POST", "/", Content_Length="2", Expect="100-continue"))
        assert (await client.head())[0] == 100
        await client.send(b"ok")
        assert json.loads((await client.answer())[2])["body"] == "ok"

    serve(tmp_path, echo, talk)


def test_a_body_that_no_handler_reads_does_not_disturb_the_next_request(tmp_path: Path) -> None:
    async def ignore(_: Request) -> Response:
        return no_content()

    async def talk(client: Client) -> None:
        await client.send(request("POST", "/", b"x" * 100_000) + request())
        for _ in range(2):
            status, headers, _ = await client.answer()
            assert status == 204
            assert "content-length" not in headers

    serve(tmp_path, ignore, talk)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InvalidParameter("bad"), 400, "bad"),
        (Conflict("busy", hint="Stop it."), 409, "busy\nStop it."),
        (KeyError("oops"), 500, "KeyError: 'oops'"),
    ],
)
def test_an_error_becomes_a_document(tmp_path: Path, error: Exception, status: int, message: str) -> None:
    async def fail(_: Request) -> Response:
        raise error

    async def talk(client: Client) -> None:
        await client.send(request())
        got, _, body = await client.answer()
        assert (got, json.loads(body)) == (status, {"message": message})
        await client.send(request())
        assert (await client.answer())[0] == status

    serve(tmp_path, fail, talk)


def test_not_modified_has_no_body(tmp_path: Path) -> None:
    async def fail(_: Request) -> Response:
        raise NotModified("already")

    async def talk(client: Client) -> None:
        await client.send(request("POST") + request("POST"))
        assert [(await client.answer())[0] for _ in range(2)] == [304, 304]

    serve(tmp_path, fail, talk)


def test_what_is_no_http_is_refused_and_the_connection_closed(tmp_path: Path) -> None:
    async def talk(client: Client) -> None:
        await client.send("nonsense\r\n\r\n")
        status, _, body = await client.answer()
        assert status == 400
        assert json.loads(body)["message"].startswith("bad request")
        assert await client.ended()

    serve(tmp_path, echo, talk)


def test_a_head_request_is_answered_without_the_body(tmp_path: Path) -> None:
    async def talk(client: Client) -> None:
        await client.send(request("HEAD") + request("GET", "/next"))
        status, headers = await client.head()
        assert (status, int(headers["content-length"]) > 0) == (200, True)
        assert json.loads((await client.answer())[2])["path"] == "/next"

    serve(tmp_path, echo, talk)


def test_a_client_may_close_its_side_and_still_get_the_answer(tmp_path: Path) -> None:
    async def later(request: Request) -> Response:
        await asyncio.sleep(0.02)
        return await echo(request)

    async def talk(client: Client) -> None:
        await client.send(request())
        client.writer.write_eof()
        assert (await client.answer())[0] == 200
        assert await client.ended()

    serve(tmp_path, later, talk)


@pytest.mark.parametrize(
    ("method", "streams", "expected"),
    [("GET", False, "cancelled"), ("POST", True, "cancelled"), ("POST", False, "done")],
)
def test_a_client_that_goes_away_cancels_what_only_reads_or_streams(
    tmp_path: Path, method: str, streams: bool, expected: str
) -> None:
    outcome: list[str] = []

    async def wait(request: Request) -> Response | None:
        try:
            if streams:
                await request.stream()
            await asyncio.sleep(0.2)
            outcome.append("done")
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise
        return None if streams else no_content()

    async def talk(client: Client) -> None:
        await client.send(request(method))
        await asyncio.sleep(0.02)
        client.writer.close()
        for _ in range(100):
            if outcome:
                break
            await asyncio.sleep(0.01)
        assert outcome == [expected]

    serve(tmp_path, wait, talk)


def test_a_stream_sends_its_headers_at_once_and_what_follows_as_it_comes(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def tell(request: Request) -> None:
        stream = await request.stream()
        await go.wait()
        await stream.send({"n": 1})
        await stream.write(b"raw")

    async def talk(client: Client) -> None:
        await client.send(request())
        status, headers = await client.head()
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        go.set()
        assert (
            await client.reader.readuntil(b"raw\r\n0\r\n\r\n") == b'9\r\n{"n":1}\r\n\r\n3\r\nraw\r\n0\r\n\r\n'
        )
        await client.send(request())
        assert (await client.answer())[2] == b'{"n":1}\r\nraw'

    serve(tmp_path, tell, talk)


def test_an_error_in_the_middle_of_a_stream_is_its_last_message(tmp_path: Path) -> None:
    async def fail(request: Request) -> None:
        stream = await request.stream()
        await stream.send({"status": "working"})
        raise Conflict("no more")

    async def talk(client: Client) -> None:
        await client.send(request())
        lines = (await client.answer())[2].split()
        assert json.loads(b" ".join(lines[1:])) == {"errorDetail": {"message": "no more"}, "error": "no more"}

    serve(tmp_path, fail, talk)


def test_a_slow_client_holds_the_stream_back(tmp_path: Path) -> None:
    sent = 0

    async def pour(request: Request) -> None:
        nonlocal sent
        stream = await request.stream()
        for _ in range(64):
            await stream.write(bytes(1 << 18))
            sent += 1

    async def talk(client: Client) -> None:
        await client.send(request())
        await asyncio.sleep(0.1)
        assert sent < 32
        assert len((await client.answer())[2]) == 64 << 18

    serve(tmp_path, pour, talk)


@pytest.mark.parametrize("upgrade", ["", "tcp"])
def test_a_hijacked_connection_belongs_to_the_handler_with_all_that_came(
    tmp_path: Path, upgrade: str
) -> None:
    taken: list[bytes] = []

    async def hijack(request: Request) -> None:
        assert await request.body() == b"{}"
        connection, initial = request.hijack()
        taken.append(initial)
        with connection:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, b"<" + await loop.sock_recv(connection, 100) + b">")

    async def talk(client: Client) -> None:
        headers = {"Upgrade": upgrade, "Connection": "Upgrade"} if upgrade else {}
        await client.send(request("POST", "/attach", b"{}", **headers) + b"early")
        status, answered = await client.head()
        assert status == (101 if upgrade else 200)
        assert answered["content-type"] == "application/vnd.docker.raw-stream"
        assert answered.get("upgrade", "") == upgrade
        await client.send(b"late")
        assert await client.reader.read() == b"<late>"
        assert taken == [b"early"]

    serve(tmp_path, hijack, talk)


@pytest.mark.parametrize("sizes", [(3 << 20,), (5,), (1, 70_000, 2), ()])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_can_be_read_in_a_thread_past_the_event_loop(
    tmp_path: Path, sizes: tuple[int, ...], chunked: bool
) -> None:
    def swallow(source: BodySource) -> int:
        assert threading.current_thread() is not threading.main_thread()
        size = 0
        while part := source.read(7000):
            assert len(part) <= 7000
            size += len(part)
        source.close()
        return size

    async def handler(request: Request) -> Response:
        source = request.body_source()
        return document({"size": await asyncio.to_thread(swallow, source)})

    async def talk(client: Client) -> None:
        if chunked:
            await client.send(request("POST", "/", Transfer_Encoding="chunked"))
            for size in sizes:
                await client.send(b"%x;name=value\r\n%b\r\n" % (size, bytes(size)))
            await client.send(b"0\r\nTrailer: x\r\n\r\n")
        else:
            await client.send(request("POST", "/", Content_Length=str(sum(sizes))))
            await client.send(bytes(sum(sizes)))
        _, headers, body = await client.answer()
        assert json.loads(body) == {"size": sum(sizes)}
        assert headers["connection"] == "close"
        assert await client.ended()

    serve(tmp_path, handler, talk)


@pytest.mark.parametrize("framing", [b"x\r\n", b"-5\r\n", b"3\r\nabcd\r\n", b"5" * 5000])
def test_chunks_that_are_none_are_refused(tmp_path: Path, framing: bytes) -> None:
    def swallow(source: BodySource) -> None:
        with contextlib.closing(source):
            while source.read(1000):
                continue

    async def handler(request: Request) -> Response:
        await asyncio.to_thread(swallow, request.body_source())
        return no_content()

    async def talk(client: Client) -> None:
        await client.send(request("POST", "/", Transfer_Encoding="chunked"))
        await client.send(framing)
        status, _, body = await client.answer()
        assert (status, b"bad request" in body) == (400, True)

    serve(tmp_path, handler, talk)


def test_a_large_answer_is_written_by_a_thread(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(os.urandom(9_000_000))

    def pour(sink: BodySink) -> None:
        assert threading.current_thread() is not threading.main_thread()
        with contextlib.closing(sink), open(blob, "rb") as file:
            sink.write(b"head")
            sink.write(b"")
            sink.write_file(file.fileno(), 9_000_000)
            sink.write_file(file.fileno(), 0)
            sink.write(b"tail")
            sink.flush()

    async def handler(request: Request) -> None:
        await asyncio.to_thread(pour, await request.sink("application/x-tar"))

    async def talk(client: Client) -> None:
        await client.send(request("GET", "/"))
        status, headers, body = await client.answer()
        assert (status, headers["content-type"]) == (200, "application/x-tar")
        assert body == b"head" + blob.read_bytes() + b"tail"
        assert await client.ended()

    serve(tmp_path, handler, talk)


def test_a_large_answer_that_fails_is_cut_off(tmp_path: Path) -> None:
    def pour(sink: BodySink) -> None:
        with contextlib.closing(sink), open(tmp_path / "short", "w+b") as file:
            sink.write_file(file.fileno(), 5)

    async def handler(request: Request) -> None:
        await asyncio.to_thread(pour, await request.sink("application/x-tar"))

    async def talk(client: Client) -> None:
        await client.send(request("GET", "/"))
        assert not (await client.reader.read()).endswith(b"0\r\n\r\n")

    serve(tmp_path, handler, talk)


def test_an_upload_that_is_refused_early_is_answered_early(tmp_path: Path) -> None:
    async def handler(request: Request) -> Response:
        request.body_source().close()
        raise InvalidParameter("not this one")

    async def talk(client: Client) -> None:
        await client.send(request("POST", "/", Content_Length="100000000"))
        await client.send(bytes(1000))
        assert (await client.answer())[0] == 400
        for _ in range(50):
            await client.send(bytes(100_000))

    serve(tmp_path, handler, talk)


def test_a_document_must_be_json_of_the_right_shape(tmp_path: Path) -> None:
    class Shape(msgspec.Struct):
        number: int = 7

    async def handler(request: Request) -> Response:
        return document((await request.json(Shape)).number)

    async def talk(client: Client) -> None:
        for body, status in ((b'{"number": 3}', 200), (b"", 200), (b"{", 400), (b'{"number": "x"}', 400)):
            await client.send(request("POST", "/", body))
            assert (await client.answer())[0] == status

    serve(tmp_path, handler, talk)


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", None), ("n=", None), ("n=5", 5), ("n=-1", -1), ("n=x", "invalid value for n: 'x' is not a number")],
)
def test_a_number_in_the_query_is_a_number_or_refused(tmp_path: Path, query: str, expected: object) -> None:
    async def handler(request: Request) -> Response:
        return document(request.number("n"))

    async def talk(client: Client) -> None:
        await client.send(request("GET", f"/?{query}"))
        answer = json.loads((await client.answer())[2])
        assert (answer["message"] if isinstance(answer, dict) else answer) == expected

    serve(tmp_path, handler, talk)


def test_flags_and_filters_are_read_as_docker_reads_them(tmp_path: Path) -> None:
    async def handler(request: Request) -> Response:
        return document([request.flag("a"), request.flag("b", default=True), request.filters()])

    async def talk(client: Client) -> None:
        for query, expected in (
            ("", [False, True, {}]),
            ("?a=1&b=0", [True, False, {}]),
            ("?a=True&b=false", [True, False, {}]),
            ("?a=&b=none", [False, False, {}]),
            ('?filters={"label":["x","y"]}', [False, True, {"label": ["x", "y"]}]),
            ('?filters={"label":{"x":true,"y":false}}', [False, True, {"label": ["x"]}]),
        ):
            await client.send(request("GET", f"/{query}"))
            assert json.loads((await client.answer())[2]) == expected
        await client.send(request("GET", "/?filters=x"))
        assert (await client.answer())[0] == 400

    serve(tmp_path, handler, talk)


def test_a_connection_without_a_request_ends_when_the_client_ends_it(tmp_path: Path) -> None:
    async def talk(client: Client) -> None:
        client.writer.write_eof()
        assert await client.ended()

    serve(tmp_path, echo, talk)


def test_a_thread_that_reads_a_body_notices_that_the_client_is_gone(tmp_path: Path) -> None:
    ended = threading.Event()

    def swallow(source: BodySource) -> None:
        try:
            while source.read(1000):
                continue
        finally:
            source.close()
            ended.set()

    async def handler(request: Request) -> Response:
        await asyncio.to_thread(swallow, request.body_source())
        return no_content()

    async def talk(client: Client) -> None:
        await client.send(request("POST", "/", Content_Length="1000000"))
        await client.send(b"some of it")
        await asyncio.sleep(0.02)
        raw = client.writer.get_extra_info("socket")
        assert isinstance(raw.family, socket.AddressFamily)
        client.writer.close()
        assert await asyncio.to_thread(ended.wait, 5)

    serve(tmp_path, handler, talk)
