"""The API's sockets: who may connect, and what answers."""

import asyncio
import grp
import os
import socket

from argosy.api import unsupported
from argosy.api.build import BuildRoutes
from argosy.api.buildkit.routes import BuildKit
from argosy.api.check import Check
from argosy.api.containers import Containers
from argosy.api.execs import Execs
from argosy.api.filesystem import Filesystem
from argosy.api.http import Connection
from argosy.api.images import ImageRoutes
from argosy.api.registries import RegistryRoutes
from argosy.api.router import Router
from argosy.api.system import System, server_headers
from argosy.api.volumes import NetworkRoutes, Volumes
from argosy.build.builder import Builder
from argosy.engine.core import Engine
from argosy.errors import InvalidParameter

_BACKLOG = 1024
_PATIENCE = 5.0


class Server:
    def __init__(self, engine: Engine, builder: Builder) -> None:
        self._engine = engine
        self._router = Router()
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._headers = server_headers()
        self._buildkit = BuildKit(engine, builder)
        for part in (
            System(engine, builder),
            Containers(engine),
            Execs(engine),
            Filesystem(engine),
            ImageRoutes(engine),
            Volumes(engine),
            NetworkRoutes(engine),
            Check(engine),
            RegistryRoutes(engine),
            BuildRoutes(engine, builder, self._buildkit.offered),
            self._buildkit,
        ):
            part.route(self._router)
        unsupported.route(self._router)

    async def listen(self, addresses: list[str], group: str) -> None:
        """`unix:///path` or `fd://N`. A path is root's and `group`'s. Raises InvalidParameter, OSError."""
        for address in addresses:
            scheme, _, rest = address.partition("://")
            if scheme == "unix":
                listener = _unix_listener(rest, group)
            elif scheme == "fd":
                # systemd's socket activation: descriptors begin at 3 (sd_listen_fds(3)).
                listener = socket.socket(fileno=int(rest or 3))
            else:
                raise InvalidParameter(
                    f"cannot listen on {address}",
                    hint="Addresses are unix:///path and fd://; a remote client comes in by SSH.",
                )
            server = await self._engine.loop.create_unix_server(
                self._connection, sock=listener, backlog=_BACKLOG
            )
            self._servers.append(server)

    def _connection(self) -> Connection:
        return Connection(self._router.handle, self._connections, self._headers)

    async def close(self) -> None:
        """Take no more connections and end those that are left."""
        for server in self._servers:
            server.close()
        self._buildkit.close()
        for connection in list(self._connections):
            connection.end()
        deadline = self._engine.loop.time() + _PATIENCE
        while self._connections and self._engine.loop.time() < deadline:
            await asyncio.sleep(0.01)


def _unix_listener(path: str, group: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    # Bound under another name and renamed: whoever finds the socket finds it listening.
    temporary = f"{path}.{os.getpid()}"
    previous = os.umask(0o117)
    try:
        listener.bind(temporary)
    finally:
        os.umask(previous)
    try:
        os.chown(temporary, 0, grp.getgrnam(group).gr_gid)
    except KeyError:
        os.chmod(temporary, 0o600)
    listener.listen(_BACKLOG)
    os.rename(temporary, path)
    return listener
