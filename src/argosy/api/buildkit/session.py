"""What a client offers to the builds that it asks for: a gRPC server at its end of `POST /session`."""

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote_plus

import msgspec

from argosy.api.buildkit.connection import (
    CANCELLED,
    NOT_FOUND,
    UNAVAILABLE,
    UNIMPLEMENTED,
    Call,
    Connection,
    RpcError,
)
from argosy.errors import Unavailable
from argosy.image import Credentials
from argosy.linux.remove_tree import discard_tree
from argosy.spec import buildkit as messages
from argosy.wire import protobuf

T = TypeVar("T", bound=msgspec.Struct)
_PATIENCE = 5.0
_CHUNK = 32 << 10
_SOCKET_PEERS = 16
_STORE = "buildkit-attachable-store-id"
# Where Docker's clients keep the credentials of Docker Hub, and what the Hub's registry is called.
_HUB, _HUB_REGISTRY = "https://index.docker.io/v1/", "registry-1.docker.io"


class Session:
    """One client's. Every call waits for the client. Thread-safe."""

    def __init__(
        self, identifier: str, shared_key: str, methods: Sequence[str], connection: Connection
    ) -> None:
        self.id = identifier
        self.shared_key = shared_key
        self._methods = {method.lower() for method in methods}
        self._connection = connection

    def offers(self, path: str) -> bool:
        return path.lower() in self._methods

    def call(self, path: str, metadata: Mapping[str, Sequence[str]] | None = None) -> Call:
        """Raises RpcError."""
        if not self.offers(path):
            raise RpcError(UNIMPLEMENTED, f"method {path} not supported by the client")
        return self._connection.call(path, encoded(metadata or {}))

    def ask(self, path: str, request: msgspec.Struct, kind: type[T]) -> T:
        """A call of one message each way. Raises RpcError."""
        call = self.call(path)
        call.send(protobuf.encode(request))
        call.end()
        answers = list(call)
        if not answers:
            raise RpcError(UNAVAILABLE, f"no answer to {path}")
        return protobuf.decode(kind, answers[0])

    def secret(self, identifier: str) -> bytes | None:
        """None if there is none. Raises RpcError."""
        try:
            request = messages.GetSecretRequest(identifier)
            path = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
            return self.ask(path, request, messages.GetSecretResponse).data
        except RpcError as error:
            if error.code in (NOT_FOUND, UNIMPLEMENTED):
                return None
            raise

    def credentials(self, host: str) -> Credentials:
        """None at all if the client has none for the host."""
        try:
            name = _HUB_REGISTRY if host in ("docker.io", _HUB) else host
            request = messages.CredentialsRequest(name)
            path = "/moby.filesync.v1.Auth/Credentials"
            found = self.ask(path, request, messages.CredentialsResponse)
        except RpcError as error:
            if error.code == CANCELLED:
                raise
            return Credentials()
        if found.username == "":
            # A secret without a name is an identity token (docker/cli, config/types).
            return Credentials(identity_token=found.secret)
        return Credentials(username=found.username, password=found.secret)

    def pull(self, host: str, path: str) -> Iterator[bytes]:
        """What the client was given on its standard input. Raises RpcError."""
        call = self.call("/moby.upload.v1.Upload/Pull", {"urlhost": [host], "urlpath": [path]})
        call.end()
        for message in call:
            yield protobuf.decode(messages.BytesMessage, message).data

    def content(self, store: str, digest: str) -> Iterator[bytes]:
        """A blob of one of the client's stores, in pieces. Raises RpcError."""
        call = self.call("/containerd.services.content.v1.Content/Read", {_STORE: [store]})
        call.send(protobuf.encode(messages.ReadContentRequest(digest)))
        call.end()
        for message in call:
            yield protobuf.decode(messages.ReadContentResponse, message).data

    def close(self) -> None:
        self._connection.close()


class Sessions:
    """Those that are connected. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sessions: dict[str, Session] = {}

    def add(self, session: Session) -> None:
        with self._changed:
            self._sessions[session.id] = session
            self._changed.notify_all()

    def remove(self, session: Session) -> None:
        with self._changed:
            if self._sessions.get(session.id) is session:
                del self._sessions[session.id]

    def get(self, identifier: str) -> Session:
        """It may be on its way. Raises Unavailable."""
        with self._changed:
            if not self._changed.wait_for(lambda: identifier in self._sessions, _PATIENCE):
                raise Unavailable(f"no active session for {identifier}: context deadline exceeded")
            return self._sessions[identifier]

    def close(self) -> None:
        with self._changed:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.close()


def encoded(metadata: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Values with other letters than ASCII's are escaped, and another value says so, as in filesync.go."""
    found = {}
    for name, values in metadata.items():
        if all(value.isascii() for value in values):
            found[name] = list(values)
        else:
            found[name] = [quote_plus(value, errors="surrogateescape") for value in values]
            found[f"{name}-encoded"] = ["1"]
    return found


class Agents:
    """SSH agents of a client's, each behind a socket on this machine for the length of a build."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._directory = ""
        self._sockets: dict[str, tuple[str, socket.socket]] = {}

    def socket_of(self, identifier: str) -> str | None:
        """The path of a socket; None if the client has no such agent."""
        identifier = identifier or "default"
        with self._lock:
            if identifier in self._sockets:
                return self._sockets[identifier][0]
            try:
                request = messages.CheckAgentRequest(identifier)
                self._session.ask("/moby.sshforward.v1.SSH/CheckAgent", request, messages.Empty)
            except RpcError:
                return None
            if not self._directory:
                self._directory = tempfile.mkdtemp(prefix="argosy-agent-")
            path = os.path.join(self._directory, str(len(self._sockets)))
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(_SOCKET_PEERS)
            self._sockets[identifier] = path, listener
        threading.Thread(target=self._serve, args=(listener, identifier), name="agent", daemon=True).start()
        return path

    def close(self) -> None:
        with self._lock:
            for _, listener in self._sockets.values():
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            self._sockets.clear()
            if self._directory:
                discard_tree(self._directory)

    def _serve(self, listener: socket.socket, identifier: str) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                work = (connection, identifier)
                threading.Thread(target=self._forward, args=work, name="agent", daemon=True).start()

    def _forward(self, connection: socket.socket, identifier: str) -> None:
        with connection, contextlib.suppress(RpcError, OSError):
            call = self._session.call(
                "/moby.sshforward.v1.SSH/ForwardAgent", {"buildkit.ssh.id": [identifier]}
            )

            def outward() -> None:
                with contextlib.suppress(RpcError, OSError):
                    while data := connection.recv(_CHUNK):
                        call.send(protobuf.encode(messages.BytesMessage(data)))
                    call.end()

            sender = threading.Thread(target=outward, name="agent", daemon=True)
            sender.start()
            try:
                for message in call:
                    connection.sendall(protobuf.decode(messages.BytesMessage, message).data)
            finally:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                sender.join()
                call.cancel()
