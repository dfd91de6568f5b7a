"""What is in a container's file system: /containers/{id}/archive, changes, export; and /commit."""

import base64
import contextlib

import msgspec

from argosy.api.body import BodySink
from argosy.api.http import Request, Response, document
from argosy.api.router import Router
from argosy.engine import archive
from argosy.engine import commit as committing
from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import ContainerConfig, FilesystemChange, PathStat

_TAR = "application/x-tar"
_STREAM = "application/octet-stream"
_STAT = "X-Docker-Container-Path-Stat"


class Filesystem:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def route(self, router: Router) -> None:
        router.add("HEAD", "/containers/{id}/archive", self.stat)
        router.add("GET", "/containers/{id}/archive", self.read)
        router.add("PUT", "/containers/{id}/archive", self.write)
        router.add("GET", "/containers/{id}/export", self.export)
        router.add("GET", "/containers/{id}/changes", self.changes)
        router.add("POST", "/commit", self.commit)

    def _find(self, request: Request) -> Container:
        return self._engine.containers.find(request.parameters["id"])

    async def stat(self, request: Request) -> Response:
        container, path = self._find(request), _path(request)
        found = await archive.stat_path(self._engine, container, path, request.parameters["id"])
        return Response(headers=[(_STAT, _encoded(found))])

    async def read(self, request: Request) -> None:
        container, path = self._find(request), _path(request)
        output = _Output(self._engine, request, _TAR)

        def begin(found: PathStat) -> archive.Write:
            return output.begin([(_STAT, _encoded(found))]).write

        with contextlib.closing(output):
            called = request.parameters["id"]
            await archive.read_path(self._engine, container, path, called, begin, output.flush)

    async def write(self, request: Request) -> Response:
        container, path = self._find(request), _path(request)
        with contextlib.closing(request.body_source()) as source:
            await archive.write_path(
                self._engine,
                container,
                path,
                request.parameters["id"],
                source,
                keep_kinds=request.flag("noOverwriteDirNonDir"),
                as_user=request.flag("copyUIDGID"),
            )
        return Response()

    async def export(self, request: Request) -> None:
        container = self._find(request)
        with contextlib.closing(_Output(self._engine, request, _STREAM)) as output:
            await archive.export(self._engine, container, lambda: output.begin([]).write, output.flush)

    async def changes(self, request: Request) -> Response:
        found = await committing.changes(self._engine, self._find(request))
        listed = [FilesystemChange(c.path.decode(errors="replace"), c.kind) for c in found]
        return document(listed or None)

    async def commit(self, request: Request) -> Response:
        query = request.query
        container = self._engine.containers.find(query.get("container", ""))
        given = await request.json(ContainerConfig)
        image = await committing.commit(
            self._engine,
            container,
            given,
            repository=query.get("repo", ""),
            tag=query.get("tag", ""),
            author=query.get("author", ""),
            comment=query.get("comment", ""),
            instructions=request.multiple.get("changes", []),
            hold=request.flag("pause", default=True),
        )
        return document({"Id": image}, 201)


class _Output:
    """A tar on its way out, whose headers go when there is something to send; for one thread."""

    def __init__(self, engine: Engine, request: Request, content_type: str) -> None:
        self._content_type = content_type
        self._engine = engine
        self._request = request
        self._sink: BodySink | None = None

    def begin(self, headers: list[tuple[str, str]]) -> BodySink:
        self._sink = self._engine.from_thread(self._request.sink(self._content_type, headers))
        return self._sink

    def flush(self) -> None:
        """In the thread that writes: it waits for the client."""
        if self._sink is not None:
            self._sink.flush()

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


def _path(request: Request) -> str:
    path = request.query.get("path", "")
    if not path:
        raise InvalidParameter("bad parameter: pathcannot be empty")
    return path


def _encoded(found: PathStat) -> str:
    return base64.b64encode(msgspec.json.encode(found)).decode("ascii")
