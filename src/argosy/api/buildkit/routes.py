"""/grpc and /session: the connections that BuildKit's clients take over.

What speaks on them is loaded when the first one comes.
"""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from argosy.api.http import Request
from argosy.api.router import Router
from argosy.build.builder import Builder
from argosy.build.contexts import Context
from argosy.build.usage import Entry
from argosy.engine.core import Engine
from argosy.errors import InvalidParameter

if TYPE_CHECKING:
    from argosy.api.buildkit.service import Service
    from argosy.api.buildkit.trees import Trees

_SESSION = "x-docker-expose-session-uuid"


class BuildKit:
    def __init__(self, engine: Engine, builder: Builder) -> None:
        self._engine = engine
        self._builder = builder
        self._lock = threading.Lock()
        self._service: Service | None = None
        self._kept: Trees | None = None
        builder.usage.add(self._received)

    def route(self, router: Router) -> None:
        router.add("POST", "/grpc", self.grpc)
        router.add("POST", "/session", self.session)

    async def grpc(self, request: Request) -> None:
        _check(request)
        connection, initial = request.hijack("")
        self._aside(lambda service: service.serve(connection, initial))

    async def session(self, request: Request) -> None:
        _check(request)
        if not request.headers.get(_SESSION):
            raise InvalidParameter(f"no {_SESSION} header")
        headers = request.all_headers()
        connection, initial = request.hijack("")
        self._aside(lambda service: service.attach(connection, initial, headers))

    def offered(self, session: str, name: str, key: str) -> Context:
        """A directory of a client's, which it offers in a session. Raises Unavailable."""
        return self._loaded().offered(session, name, key, self._builder.digests)

    def close(self) -> None:
        if self._service is not None:
            self._service.close()

    def _aside(self, work: "Callable[[Service], None]") -> None:
        """In a thread of its own: a connection lasts as long as its client likes."""

        def run() -> None:
            work(self._loaded())

        threading.Thread(target=run, name="buildkit", daemon=True).start()

    def _received(self) -> list[Entry]:
        from argosy.api.buildkit.usage import received

        with self._lock:
            trees = self._trees()
        return received(trees)

    def _trees(self) -> "Trees":
        from argosy.api.buildkit.trees import Trees

        if self._kept is None:
            self._kept = Trees(os.path.join(self._engine.settings.root, "build-trees"))
        return self._kept

    def _loaded(self) -> "Service":
        with self._lock:
            if self._service is None:
                from argosy.api.buildkit.service import Service

                self._service = Service(self._engine.images, self._builder, self._trees())
            return self._service


def _check(request: Request) -> None:
    if request.headers.get("upgrade", "").lower() != "h2c":
        raise InvalidParameter("this needs Connection: Upgrade and Upgrade: h2c")
