"""The services at the engine's end: which call goes to which method, and what they share."""

import socket
import threading
from collections.abc import Mapping, Sequence

import argosy
from argosy.api.buildkit.connection import UNIMPLEMENTED, Call, Connection, RpcError
from argosy.api.buildkit.contexts import Source
from argosy.api.buildkit.control import Control
from argosy.api.buildkit.gateway import Gateway
from argosy.api.buildkit.history import History
from argosy.api.buildkit.job import Jobs
from argosy.api.buildkit.session import Session, Sessions
from argosy.api.buildkit.trees import Trees
from argosy.api.buildkit.usage import Usage
from argosy.build.builder import Builder
from argosy.build.contexts import Context
from argosy.build.files import FileDigests
from argosy.build.progress import Progress
from argosy.image import Images
from argosy.spec import buildkit as messages
from argosy.wire import protobuf

_SERVING = 1


class Service:
    """Thread-safe. One for the engine, made when the first client comes."""

    def __init__(self, images: Images, builder: Builder, trees: Trees) -> None:
        self._sessions = Sessions()
        self._trees = trees
        self._jobs = Jobs(builder, images, trees)
        history = History(builder)
        usage = Usage(builder.usage)
        control = Control(images, self._sessions, self._jobs, history, usage, self.tunnel)
        self._methods = {
            **control.methods(),
            **Gateway(self._jobs).methods(),
            "/grpc.health.v1.Health/Check": _healthy,
            # What clients measure of themselves; nobody here wants to know.
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export": _ignore,
        }
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()

    def serve(self, connection: socket.socket, initial: bytes) -> None:
        """`/grpc`, until either end closes it."""
        self._run(Connection(connection, self._handle), initial)

    def attach(self, connection: socket.socket, initial: bytes, headers: Mapping[str, Sequence[str]]) -> None:
        """`/session`, until either end closes it. The names of headers are in lower case."""
        client = Connection(connection, None)
        session = Session(
            _first(headers, "x-docker-expose-session-uuid"),
            _first(headers, "x-docker-expose-session-sharedkey"),
            headers.get("x-docker-expose-session-grpc-method", []),
            client,
        )
        self._sessions.add(session)
        try:
            self._run(client, initial)
        finally:
            self._sessions.remove(session)

    def offered(self, session: str, name: str, key: str, digests: FileDigests) -> Context:
        """A directory that a client offers in a session of its own. Raises Unavailable."""
        source = Source(self._sessions.get(session), self._trees, digests, Progress(lambda event: None))
        title = f"[context {name}] load from client" if name else "[internal] load build context"
        return source.directory(name, name, title, None, key)

    def tunnel(self, call: Call) -> None:
        """A session inside a call, from clients that have one connection only."""
        ours, theirs = socket.socketpair()

        def inward() -> None:
            try:
                for message in call:
                    theirs.sendall(protobuf.decode(messages.BytesMessage, message).data)
            except (RpcError, OSError):
                pass
            finally:
                theirs.shutdown(socket.SHUT_RDWR)

        def outward() -> None:
            try:
                while data := theirs.recv(32 << 10):
                    call.send(protobuf.encode(messages.BytesMessage(data)))
            except (RpcError, OSError):
                pass

        call.answer()
        threads = [threading.Thread(target=work, name="tunnel", daemon=True) for work in (inward, outward)]
        for thread in threads:
            thread.start()
        try:
            self.attach(ours, b"", call.metadata)
        finally:
            for thread in threads:
                thread.join()
            theirs.close()

    def close(self) -> None:
        """Call off every build and end every connection."""
        self._jobs.cancel_all()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()

    def _run(self, connection: Connection, initial: bytes) -> None:
        with self._lock:
            self._connections.add(connection)
        try:
            connection.run(initial)
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _handle(self, call: Call) -> None:
        method = self._methods.get(call.path)
        if method is None:
            raise RpcError(
                UNIMPLEMENTED, f"unknown method {call.path}: Argosy {argosy.__version__} has no such"
            )
        method(call)


def _first(headers: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(headers.get(name, [])), "")


def _healthy(call: Call) -> None:
    call.receive()
    call.send(protobuf.encode(messages.HealthCheckResponse(_SERVING)))


def _ignore(call: Call) -> None:
    call.receive()
    call.send(b"")
