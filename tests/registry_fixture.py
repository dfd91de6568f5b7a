"""Debian's registry server for tests, and somebody in the middle who makes trouble."""

import contextlib
import http.client
import json
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USER, PASSWORD = "anna", "secret"
# bcrypt of the password: the server takes no other form.
_HTPASSWD = "anna:$2b$04$J5RhQ19E1Hm9TpHzramER.1yx26fPWVMZVOjvnouqiMdKihXGF5UG\n"


@contextlib.contextmanager
def registry_server(
    directory: Path,
    *,
    users: bool = False,
    certificates: Path | None = None,
    clients: bool = False,
    inside: Sequence[str] = (),
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """Its address at `host`. `users`: only they may do anything. `certificates`: with TLS; `clients` need theirs.

    `inside` is a command that runs another one where the registry is to be.
    """
    server = shutil.which("docker-registry")
    assert server, "these tests need docker-registry: install it"
    with socket.socket() as probe:
        probe.bind((host, 0))
        address = f"{host}:{probe.getsockname()[1]}"
    http_section: dict[str, Any] = {"addr": address}
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "registry")},
            "delete": {"enabled": True},
        },
        "http": http_section,
    }
    if users:
        (directory / "htpasswd").write_text(_HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    if certificates is not None:
        http_section["tls"] = {
            "certificate": str(certificates / "server.crt"),
            "key": str(certificates / "server.key"),
        }
        if clients:
            http_section["tls"]["clientcas"] = [str(certificates / "ca.crt")]
    path = directory / "registry.yml"
    path.write_text(json.dumps(config))
    with open(directory / "registry.log", "wb") as log:
        process = subprocess.Popen([*inside, server, "serve", str(path)], stdout=log, stderr=log)
    try:
        _await(address, process, inside)
        yield address
    finally:
        process.terminate()
        process.wait(10)


_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()"


def _await(address: str, process: subprocess.Popen[bytes], inside: Sequence[str]) -> None:
    host, _, port = address.rpartition(":")
    probe = [*inside, sys.executable, "-c", _CONNECT, host, port]
    for _ in range(100):
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return
        assert process.poll() is None, "the registry does not start"
        time.sleep(0.02)
    raise TimeoutError("the registry does not answer")


def make_certificates(directory: Path) -> None:
    """ca.crt; server.crt and server.key for 127.0.0.1; client.cert and client.key."""
    (directory / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    _openssl(directory, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca")
    for name, certificate in (("server", "server.crt"), ("client", "client.cert")):
        _openssl(
            directory, f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        )
        _openssl(
            directory,
            f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san "
            f"-out {certificate}",
        )


def _openssl(directory: Path, words: str) -> None:
    subprocess.run(["openssl", *words.split()], cwd=directory, check=True, capture_output=True)


class Meddler:
    """Passes requests on to `upstream`, unless `meddle` has answered already; counts them by method."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.address = ""
        self.requests: list[str] = []
        self.meddle: Callable[[BaseHTTPRequestHandler], bool] = lambda handler: False
        # What becomes of a request's body on its way.
        self.alter: Callable[[bytes], bytes] = lambda data: data

    def count(self, start: str) -> int:
        return sum(line.startswith(start) for line in self.requests)


@contextlib.contextmanager
def meddling(upstream: str) -> Iterator[Meddler]:
    meddler = Meddler(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle_any(self) -> None:
            meddler.requests.append(f"{self.command} {self.path}")
            if not meddler.meddle(self):
                _pass_on(meddler, self)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    meddler.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield meddler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pass_on(meddler: Meddler, handler: BaseHTTPRequestHandler) -> None:
    body = meddler.alter(read_body(handler))
    connection = http.client.HTTPConnection(meddler.upstream)
    headers = {
        name: value
        for name, value in handler.headers.items()
        if name.lower() not in ("transfer-encoding", "content-length")
    }
    if handler.command in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(body))
    connection.request(handler.command, handler.path, body or None, headers)
    answer = connection.getresponse()
    data = answer.read()
    handler.send_response(answer.status, answer.reason)
    for name, value in answer.getheaders():
        if name.lower() not in ("transfer-encoding", "connection", "content-length"):
            handler.send_header(name, value)
    length = answer.getheader("Content-Length") if handler.command == "HEAD" else str(len(data))
    handler.send_header("Content-Length", length or "0")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(data)
    connection.close()


def read_body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    data = b""
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        data += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return data


def refuse(handler: BaseHTTPRequestHandler, status: int, **headers: str) -> bool:
    read_body(handler)
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


@contextlib.contextmanager
def tunnel(target: str, lines: list[str]) -> Iterator[str]:
    """A proxy that takes every CONNECT to `target`, whatever it was asked for; `lines` are what it was."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        head = b""
        host, _, port = target.rpartition(":")
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection((host, int(port))) as upstream,
        ):
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            lines.append(head.decode().splitlines()[0])
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            while ready := select.select([client, upstream], [], [])[0]:
                data = ready[0].recv(65536)
                if not data:
                    return
                (upstream if ready[0] is client else client).sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=serve, args=(listener.accept()[0],))
                thread.start()
                threads.append(thread)

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()
        for thread in threads:
            thread.join()
