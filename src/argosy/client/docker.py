"""The Engine API's calls, one thin function each, in the words of the API.

Requests go to a fixed API version, so that no round trip is spent on asking for it; an engine that refuses
it says which one it speaks, and the request is repeated in that one.
"""

from __future__ import annotations

from argosy.client import fastjson
from argosy.client.errors import APIError, ConnectionFailed
from argosy.client.transport import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from argosy.client.transport import Address, Body, Response, Stream

    Document = dict[str, Any]
    Query = Mapping[str, object]

API_VERSION = "1.51"
# Engines answer this many requests of one command at a time; more would only queue.
PARALLEL = 16

_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_JSON = "Content-Type: application/json"
_UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")
REGISTRY_AUTH = "X-Registry-Auth"


def quote(text: str, also: bytes = b"") -> str:
    """Percent-encode all but unreserved characters and those in `also`."""
    return "".join(
        chr(byte) if byte in _SAFE or byte in also else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def query_string(query: Query) -> str:
    """`?a=1&b=true`; empty values are left out, lists repeat their key, mappings become JSON."""
    parts = []
    for key, value in query.items():
        if value is None or value is False or value == "" or value == {}:
            continue
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if item is True:
                text = "1"
            elif isinstance(item, dict):
                text = fastjson.dumps(item).decode()
            else:
                text = str(item)
            parts.append(f"{key}={quote(text)}")
    return "?" + "&".join(parts) if parts else ""


class Client:
    def __init__(
        self,
        address: Address,
        *,
        version: str = API_VERSION,
        on_refused: Callable[[ConnectionFailed], bool] | None = None,
    ) -> None:
        """`on_refused` may bring the engine up when nothing answers; True asks to connect once more."""
        self.address = address
        self.version = version
        self._on_refused = on_refused
        self._connections: list[Connection] = []

    def connection(self) -> Connection:
        """One that is open and idle."""
        for connection in self._connections:
            if connection.idle:
                return self._opened(connection)
        connection = Connection(self.address)
        self._connections.append(connection)
        return self._opened(connection)

    def _opened(self, connection: Connection) -> Connection:
        try:
            connection.open()
        except ConnectionFailed as failure:
            if self._on_refused is None or not self._on_refused(failure):
                raise
            connection.open()
        return connection

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body = None,
        headers: Iterable[str] = (),
    ) -> Response:
        """Any request. `path` is unversioned and already quoted. Raises APIError."""
        target = path + query_string(query) if query else path
        try:
            return self.connection().request(method, f"/v{self.version}{target}", body, headers)
        except APIError as error:
            if not self._settle_version(error) or not (body is None or isinstance(body, bytes)):
                raise
        return self.connection().request(method, f"/v{self.version}{target}", body, headers)

    def _settle_version(self, error: APIError) -> bool:
        # "client version 1.51 is too new. Maximum supported API version is 1.41"
        text = error.message
        if error.status != 400 or not text.startswith("client version ") or "API version is " not in text:
            return False
        version = text.partition("API version is ")[2].split(",")[0].strip().rstrip(".")
        if version == self.version or not version.replace(".", "").isdigit():
            return False
        self.version = version
        return True

    def get(self, path: str, query: Query | None = None) -> Any:
        return self.call("GET", path, query).json()

    def post(self, path: str, query: Query | None = None, document: object = None) -> Any:
        if document is None:
            return self._finished(self.call("POST", path, query))
        return self._finished(self.call("POST", path, query, fastjson.dumps(document), (_JSON,)))

    def delete(self, path: str, query: Query | None = None) -> Any:
        return self._finished(self.call("DELETE", path, query))

    @staticmethod
    def _finished(response: Response) -> Any:
        """The JSON body, or the bytes where an engine answers with text."""
        body = response.read()
        if body and "json" in response.headers.get("content-type", "json"):
            return fastjson.loads(body)
        return body or None

    def each(
        self, method: str, paths: Iterable[str], query: Query | None = None
    ) -> Iterator[APIError | None]:
        """The same request to many paths, a few at a time on connections of their own; results in order."""
        targets = [path + query_string(query or {}) for path in paths]
        if len(targets) == 1:
            yield self._outcome(lambda: self.call(method, targets[0]))
            return
        for first in range(0, len(targets), PARALLEL):
            window = targets[first : first + PARALLEL]
            sent = []
            for target in window:
                connection = self.connection()
                connection.send(method, f"/v{self.version}{target}")
                sent.append(connection)
            for target, connection in zip(window, sent, strict=True):
                outcome = self._outcome(connection.checked)
                if outcome is not None and self._settle_version(outcome):
                    outcome = self._outcome(lambda target=target: self.call(method, target))  # type: ignore[misc]
                yield outcome

    @staticmethod
    def _outcome(request: Callable[[], Response]) -> APIError | None:
        try:
            request().read()
        except APIError as error:
            return error
        return None

    def hijack(self, path: str, query: Query | None = None, document: object = None) -> tuple[Stream, bytes]:
        """Turn a request into a two-way stream."""
        body = fastjson.dumps(document) if document is not None else b""
        response = self.call("POST", path, query, body, (_JSON, *_UPGRADE))
        return response.hijack()

    def open_session(self, identifier: str, methods: Iterable[str]) -> tuple[Stream, bytes]:
        """A two-way stream on which the engine may call these gRPC methods of ours."""
        headers = [
            "Connection: Upgrade",
            "Upgrade: h2c",
            f"X-Docker-Expose-Session-Uuid: {identifier}",
            *(f"X-Docker-Expose-Session-Grpc-Method: {method}" for method in methods),
        ]
        return self.call("POST", "/session", None, b"", headers).hijack()

    # Containers

    def create_container(self, document: Document, *, name: str = "", platform: str = "") -> Document:
        return _mapping(self.post("/containers/create", {"name": name, "platform": platform}, document))

    def start_container(self, container: str, **query: object) -> None:
        self.post(f"/containers/{quote(container)}/start", query)

    def list_containers(self, **query: object) -> list[Document]:
        return _list(self.get("/containers/json", query))

    def inspect_container(self, container: str, *, size: bool = False) -> Document:
        return _mapping(self.get(f"/containers/{quote(container)}/json", {"size": size}))

    def kill_container(self, container: str, signal: str) -> None:
        self.post(f"/containers/{quote(container)}/kill", {"signal": signal})

    def remove_container(self, container: str, *, force: bool = False, volumes: bool = False) -> None:
        self.delete(f"/containers/{quote(container)}", {"force": force, "v": volumes})

    def resize_container(self, container: str, rows: int, columns: int) -> None:
        self.post(f"/containers/{quote(container)}/resize", {"h": rows, "w": columns})

    def attach_container(self, container: str, **query: object) -> tuple[Stream, bytes]:
        return self.hijack(f"/containers/{quote(container)}/attach", {"stream": True, **query})

    def wait_container(self, container: str, condition: str = "") -> Response:
        """Its headers say that the engine watches; its body comes when the condition holds."""
        return self.call("POST", f"/containers/{quote(container)}/wait", {"condition": condition})

    def container_logs(self, container: str, **query: object) -> Response:
        return self.call("GET", f"/containers/{quote(container)}/logs", query)

    # Execs

    def create_exec(self, container: str, document: Document) -> str:
        return str(_mapping(self.post(f"/containers/{quote(container)}/exec", None, document))["Id"])

    def start_exec(self, exec_id: str, document: Document) -> None:
        self.post(f"/exec/{exec_id}/start", None, document)

    def attach_exec(self, exec_id: str, document: Document) -> tuple[Stream, bytes]:
        return self.hijack(f"/exec/{exec_id}/start", None, document)

    def inspect_exec(self, exec_id: str) -> Document:
        return _mapping(self.get(f"/exec/{exec_id}/json"))

    def resize_exec(self, exec_id: str, rows: int, columns: int) -> None:
        self.post(f"/exec/{exec_id}/resize", {"h": rows, "w": columns})

    # Images: a name may hold slashes, which the API takes as they are.

    def list_images(self, **query: object) -> list[Document]:
        return _list(self.get("/images/json", query))

    def inspect_image(self, image: str, **query: object) -> Document:
        return _mapping(self.get(f"/images/{quote(image, b'/:@')}/json", query))

    def pull_image(self, authorization: str, **query: object) -> Iterator[Document]:
        headers = (f"{REGISTRY_AUTH}: {authorization}",) if authorization else ()
        return self.call("POST", "/images/create", query, None, headers).messages()

    def push_image(self, image: str, authorization: str, **query: object) -> Iterator[Document]:
        path = f"/images/{quote(image, b'/')}/push"
        # The engine refuses a push without the header, though it may be empty.
        return self.call(
            "POST", path, query, None, (f"{REGISTRY_AUTH}: {authorization or 'e30='}",)
        ).messages()

    def remove_image(self, image: str, **query: object) -> list[Document]:
        return _list(self.delete(f"/images/{quote(image, b'/:@')}", query))

    # The rest of the objects

    def inspect_network(self, network: str, **query: object) -> Document:
        return _mapping(self.get(f"/networks/{quote(network)}", query))

    def inspect_volume(self, volume: str) -> Document:
        return _mapping(self.get(f"/volumes/{quote(volume)}"))

    def list_networks(self, **query: object) -> list[Document]:
        return _list(self.get("/networks", query))

    def list_volumes(self, **query: object) -> list[Document]:
        return _list(_mapping(self.get("/volumes", query)).get("Volumes"))

    def version_document(self) -> Document:
        return _mapping(self.get("/version"))

    def info(self) -> Document:
        return _mapping(self.get("/info"))

    def events(self, **query: object) -> Iterator[Document]:
        return self.call("GET", "/events", query).messages()


def _mapping(value: Any) -> Document:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Document]:
    return value if isinstance(value, list) else []
