"""A registry that can be told to misbehave."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .samples import configuration, descriptor, sha256

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


@dataclass
class Registry:
    """`cut` breaks each answer off after so many bytes; `respond` may answer in the registry's place.
    `pause` is the time between two pieces of a blob."""

    port: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    cut: int = 0
    pause: float = 0.0
    ranges: bool = True
    token: str = ""
    password: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    respond: Callable[[BaseHTTPRequestHandler], bool] = lambda handler: False

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add_image(
        self, tag: str, layers: list[bytes], stored: list[bytes] | None = None, **config: Any
    ) -> str:
        """The manifest's digest."""
        document = configuration(*layers, **config)
        blobs = stored or layers
        for data in (document, *blobs):
            self.blobs[sha256(data)] = data
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(document, "application/vnd.docker.container.image.v1+json"),
            "layers": [
                descriptor(data, "application/vnd.docker.image.rootfs.diff.tar.gzip") for data in blobs
            ],
        }
        return self.add_manifest(tag, MANIFEST, manifest)

    def add_manifest(self, tag: str, media_type: str, manifest: dict[str, Any]) -> str:
        data = json.dumps(manifest).encode()
        self.manifests[tag] = self.manifests[sha256(data)] = (media_type, data)
        return sha256(data)

    def paths(self, part: str) -> list[str]:
        return [path for path, _ in self.requests if part in path]


@contextmanager
def serving() -> Iterator[Registry]:
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            registry.requests.append((self.path, dict(self.headers.items())))
            if not registry.respond(self):
                _answer(registry, self)

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, data: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def refuse(handler: BaseHTTPRequestHandler, status: int, code: str, message: str, **headers: str) -> None:
    reply(handler, status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)


def _answer(registry: Registry, handler: BaseHTTPRequestHandler) -> None:
    path = handler.path
    authorization = handler.headers.get("Authorization", "")
    if path.startswith("/token"):
        expected = "Basic " + base64.b64encode(f"me:{registry.password}".encode()).decode()
        if registry.password and authorization != expected:
            reply(handler, 401, b'{"details":"incorrect username or password"}')
        else:
            reply(handler, 200, json.dumps({"token": registry.token, "expires_in": 300}).encode())
    elif registry.token and authorization != f"Bearer {registry.token}":
        challenge = f'Bearer realm="http://{registry.host}/token",service="here",scope="repository:x:pull"'
        refuse(handler, 401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)
    elif "/manifests/" in path:
        found = registry.manifests.get(path.rpartition("/")[2])
        if found is None:
            refuse(handler, 404, "MANIFEST_UNKNOWN", "manifest unknown")
        else:
            reply(handler, 200, found[1], Content_Type=found[0])
    else:
        data = registry.blobs.get(path.rpartition("/")[2])
        if data is None:
            refuse(handler, 404, "BLOB_UNKNOWN", "blob unknown to registry")
        else:
            _send_blob(registry, handler, data)


def _send_blob(registry: Registry, handler: BaseHTTPRequestHandler, data: bytes) -> None:
    asked = handler.headers.get("Range", "")
    if asked and registry.ranges:
        start, _, last = asked.removeprefix("bytes=").partition("-")
        data = data[int(start) : int(last) + 1 if last else None]
        handler.send_response(206)
    else:
        handler.send_response(200)
    if registry.ranges:
        handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if registry.pause:
        _send_slowly(registry, handler, data)
    elif registry.cut and len(data) > registry.cut:
        handler.wfile.write(data[: registry.cut])
        handler.close_connection = True
    else:
        handler.wfile.write(data)


def _send_slowly(registry: Registry, handler: BaseHTTPRequestHandler, data: bytes) -> None:
    try:
        for start in range(0, len(data), 10_000):
            handler.wfile.write(data[start : start + 10_000])
            time.sleep(registry.pause)
    except OSError:
        # The client has other ways.
        handler.close_connection = True
