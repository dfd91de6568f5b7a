"""Directories of this machine offered to an engine on another one, by BuildKit's protocol for its clients'
files: the engine asks for what it does not have, so that only what has changed travels.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import threading
import uuid
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from argosy.api.buildkit.connection import NOT_FOUND, UNIMPLEMENTED, Call, Connection, RpcError
from argosy.api.buildkit.sending import Sender
from argosy.build.ignore import Ignore, read
from argosy.build.release import OutputTree

if TYPE_CHECKING:
    from types import TracebackType

    from argosy.cli.context import Context
    from argosy.client.transport import Stream

_DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
_PIECE = 64 << 10
_WILDCARDS = frozenset("*?[\\")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Offer:
    """A session of the engine's, open for the length of a `with`."""

    def __init__(self, context: Context, directories: dict[str, str], ignored: str) -> None:
        """`directories` by their contexts' names; `ignored` is the main one's, "", .dockerignore."""
        self.id = uuid.uuid4().hex
        self._context = context
        self._directories = directories
        self._ignore = Ignore(read(ignored))
        self._engine: Stream | None = None
        self._connection: Connection | None = None

    def place(self, name: str) -> dict[str, str]:
        """What the engine is told of a context. It knows the directory again by its key."""
        where = f"{_machine()}\0{os.path.realpath(self._directories[name])}"
        return {"session": self.id, "key": hashlib.sha256(os.fsencode(where)).hexdigest()}

    def __enter__(self) -> Offer:
        engine, initial = self._context.client.open_session(self.id, [_DIFF_COPY])
        self._engine = engine
        ours, theirs = socket.socketpair()
        theirs.sendall(initial)
        self._connection = Connection(ours, self._handle)
        for work in (self._connection.run, lambda: _relay(engine, theirs)):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._connection is not None
        self._connection.close()

    def _handle(self, call: Call) -> None:
        if call.path != _DIFF_COPY:
            raise RpcError(UNIMPLEMENTED, f"unknown method {call.path}")
        name = next(iter(call.metadata.get("dir-name", [])), "")
        if name not in self._directories:
            raise RpcError(NOT_FOUND, f"no access allowed to dir {name!r}")
        root = os.open(self._directories[name], _DIRECTORY)
        try:
            tree = OutputTree("", root)
            wanted = Wanted(self._directories[name], _paths(call), None if name else self._ignore)
            Sender(call, [tree], wanted).run()
        finally:
            os.close(root)


def _paths(call: Call) -> list[str]:
    """What the engine takes of a directory; nothing if that is everything."""
    found = call.metadata.get("followpaths", [])
    escaped = "followpaths-encoded" in call.metadata
    return [unquote_plus(each, errors="surrogateescape") if escaped else each for each in found]


class Wanted:
    """What of a directory is sent: what is asked for and not ignored."""

    def __init__(self, directory: str, paths: list[str], ignore: Ignore | None) -> None:
        self._ignore = ignore
        # A pattern may match anything, and a link lead anywhere: then all of it goes.
        plain = all(_is_plain(directory, path) for path in paths)
        self._paths = [f"{path}/" for path in paths] if plain else []

    def excluded(self, path: str) -> bool:
        return not self._is_asked_for(path) or (self._ignore is not None and self._ignore.excluded(path))

    def may_skip_directory(self, path: str) -> bool:
        return not self._is_asked_for(path) or (
            self._ignore is not None and self._ignore.may_skip_directory(path)
        )

    def _is_asked_for(self, path: str) -> bool:
        below = f"{path}/"
        return not self._paths or any(
            below.startswith(asked) or asked.startswith(below) for asked in self._paths
        )


def _is_plain(directory: str, path: str) -> bool:
    whole = os.path.join(os.path.realpath(directory), path)
    return not _WILDCARDS.intersection(path) and os.path.realpath(whole) == whole


def _machine() -> str:
    try:
        with open("/etc/machine-id") as file:
            return file.read()
    except OSError:
        return socket.gethostname()


def _relay(engine: Stream, local: socket.socket) -> None:
    try:
        while True:
            ready, _, _ = select.select([engine, local], [], [])
            if engine in ready:
                if not (data := engine.recv(_PIECE)):
                    return
                local.sendall(data)
            if local in ready:
                if not (data := local.recv(_PIECE)):
                    return
                engine.sendall(data)
    except OSError:
        return
    finally:
        local.close()
        engine.close()
