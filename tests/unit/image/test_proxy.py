"""Proxies from the environment, and a real one in between."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from argosy.image.proxy import credentials_of, proxy_for
from argosy.image.transport import Transport, TransportError, release

VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("excluded", "url", "direct"),
    [
        ("", "https://registry.example/v2/", False),
        ("*", "https://registry.example/v2/", True),
        ("example", "https://registry.example/v2/", True),
        ("ample", "https://registry.example/v2/", False),
        ("registry.example", "https://registry.example:5000/v2/", True),
        ("registry.example:443", "https://registry.example/v2/", True),
        ("registry.example:443", "https://registry.example:5000/v2/", False),
        (".registry.example", "https://registry.example/v2/", False),
        (".registry.example, *.other.example", "https://a.other.example/v2/", True),
        ("10.0.0.0/8", "http://10.1.2.3/v2/", True),
        ("10.0.0.0/8", "http://11.1.2.3/v2/", False),
        ("nonsense/8,10.1.2.3", "http://10.1.2.3:80/v2/", True),
        ("[fd00::1]:80", "http://[fd00::1]/v2/", True),
        ("fd00::/8", "http://[fd00::1]/v2/", True),
        ("", "http://localhost:5000/v2/", True),
        ("", "https://[::1]:5000/v2/", True),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(
    environment: pytest.MonkeyPatch, excluded: str, url: str, direct: bool
) -> None:
    environment.setenv("HTTP_PROXY", "proxy.example:3128")
    environment.setenv("https_proxy", "http://me:p%40ss@proxy.example:3128")
    environment.setenv("NO_PROXY", excluded)
    assert (proxy_for(url) == "") is direct


def test_without_variables_everything_goes_straight() -> None:
    assert proxy_for("https://registry.example/") == ""


def test_a_proxys_password_may_be_quoted() -> None:
    assert credentials_of("http://me:p%40ss@proxy.example:3128") == "me:p@ss"
    assert credentials_of("http://proxy.example:3128") == ""


@contextmanager
def proxy(lines: list[str], upstream: int) -> Iterator[str]:
    """Takes every connection to `upstream`, a port of the loopback, whatever it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            lines.append(f"GET {self.path} {self.headers.get('Proxy-Authorization', '')}")
            connection = http.client.HTTPConnection("127.0.0.1", upstream)
            connection.request("GET", self.path)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_CONNECT(self) -> None:
            lines.append(f"CONNECT {self.path} {self.headers.get('Proxy-Authorization', '')}")
            self.send_error(403)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_proxy_is_asked_and_told_who_we_are(environment: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    with proxy(lines, 0) as upstream, proxy(lines, int(upstream.rpartition(":")[2])) as address:
        environment.setenv("HTTPS_PROXY", f"http://me:pw@{address}")
        transport = Transport()
        try:
            with pytest.raises(TransportError, match=r"proxyconnect tcp: .*403") as caught:
                transport.request("GET", "https://registry.example/v2/", {})
            assert "pw" not in str(caught.value)
            assert lines == ["CONNECT registry.example:443 Basic bWU6cHc="]
        finally:
            transport.close()


def test_plain_requests_go_through_a_proxy_whole(environment: pytest.MonkeyPatch) -> None:
    class Answer(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    lines: list[str] = []
    try:
        with proxy(lines, server.server_address[1]) as address:
            environment.setenv("HTTP_PROXY", address)
            transport = Transport()
            response = transport.request("GET", "http://registry.example/v2/", {})
            assert response.read() == b"{}"
            release(response)
            transport.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert lines == ["GET http://registry.example/v2/ "]


def test_a_proxy_that_is_not_there_is_named_as_the_cause(environment: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    transport = Transport()
    with pytest.raises(TransportError, match="proxyconnect tcp: "):
        transport.request("GET", "https://registry.example/v2/", {})
    transport.close()
