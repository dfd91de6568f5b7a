"""/images: one handler an operation."""

import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from argosy.api.body import BodySink
from argosy.api.http import Request, Response, Stream, document
from argosy.api.router import Router
from argosy.engine.core import Engine
from argosy.errors import InvalidParameter
from argosy.image import Credentials, parse_reference
from argosy.image.download import download
from argosy.image.platforms import normalized
from argosy.spec.oci_image import Platform

_TAR = "application/x-tar"


class ImageRoutes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._images = engine.images

    def route(self, router: Router) -> None:
        for method, pattern, handler in (
            ("GET", "/images/json", self.index),
            ("POST", "/images/create", self.create),
            ("POST", "/images/load", self.load),
            ("GET", "/images/get", self.save),
            ("POST", "/images/prune", self.prune),
            ("GET", "/images/{name*}/json", self.inspect),
            ("GET", "/images/{name*}/history", self.history),
            ("GET", "/images/{name*}/get", self.save),
            ("POST", "/images/{name*}/tag", self.tag),
            ("POST", "/images/{name*}/push", self.push),
            ("DELETE", "/images/{name*}", self.remove),
        ):
            router.add(method, pattern, handler)

    async def index(self, request: Request) -> Response:
        filters = request.filters()
        if "filter" in request.query:
            filters["reference"] = [request.query["filter"]]
        counts: Counter[str] = Counter(container.spec.image for container in self._engine.containers.all())
        found = await self._engine.in_thread(
            lambda: self._images.list(
                filters,
                all=request.flag("all"),
                shared_size=request.flag("shared-size"),
                containers=lambda: counts,
            )
        )
        return document(found)

    async def inspect(self, request: Request) -> Response:
        name = request.parameters["name"]
        platform = _platform(request.query.get("platform", ""))
        if platform is not None:
            self._images.require_platform(name, platform)
        return document(await self._engine.in_thread(self._images.inspect, name))

    async def history(self, request: Request) -> Response:
        return document(await self._engine.in_thread(self._images.history, request.parameters["name"]))

    async def tag(self, request: Request) -> Response:
        repository, tag = request.query.get("repo", ""), request.query.get("tag", "")
        await self._engine.in_thread(self._images.tag, request.parameters["name"], repository, tag)
        return Response(status=201)

    async def remove(self, request: Request) -> Response:
        force, prune = request.flag("force"), not request.flag("noprune")
        return document(
            await self._engine.in_thread(
                lambda: self._images.remove(request.parameters["name"], force=force, prune_children=prune)
            )
        )

    async def prune(self, request: Request) -> Response:
        filters = request.filters()
        report = await self._engine.in_thread(self._images.prune, filters)
        self._engine.events.publish("image", "prune", "", {"reclaimed": str(report.space_reclaimed)})
        return document(report)

    async def create(self, request: Request) -> None:
        """Pull (`fromImage`) or import (`fromSrc`)."""
        source = request.query.get("fromSrc", "")
        if source:
            await self._import(request, source)
            return
        name = request.query.get("fromImage", "")
        if not name:
            raise InvalidParameter("invalid reference format")
        credentials = Credentials.from_header(request.headers.get("x-registry-auth", ""))
        tag, platform = request.query.get("tag", ""), request.query.get("platform") or None

        def work(report: Callable[[dict[str, Any]], object]) -> None:
            if tag or parse_reference(name).with_default_tag() == parse_reference(name):
                self._images.pull(name, tag=tag, platform=platform, credentials=credentials, progress=report)
            else:
                self._images.pull_all_tags(name, platform=platform, credentials=credentials, progress=report)

        await _Reply(request).run(self._engine, work)

    async def push(self, request: Request) -> None:
        credentials = Credentials.from_header(request.headers.get("x-registry-auth", ""))
        name, tag = request.parameters["name"], request.query.get("tag", "")
        platform = _platform(request.query.get("platform", ""))
        await _Reply(request).run(
            self._engine,
            lambda report: self._images.push(
                name, tag=tag, platform=platform, credentials=credentials, progress=report
            ),
        )

    async def _import(self, request: Request, source: str) -> None:
        body = request.body_source() if source == "-" else None

        def work(report: Callable[[dict[str, Any]], object]) -> None:
            if body is None:
                report({"status": f"Downloading from {source}"})
            with contextlib.closing(body) if body is not None else download(source) as archive:
                image = self._images.import_(
                    archive,
                    origin=source,
                    repository=request.query.get("repo", ""),
                    tag=request.query.get("tag", ""),
                    changes=request.multiple.get("changes", []),
                    message=request.query.get("message", ""),
                    platform=request.query.get("platform", ""),
                )
                report({"status": image})

        await _Reply(request).run(self._engine, work)

    async def load(self, request: Request) -> None:
        quiet = request.flag("quiet")
        platform = _platform(request.query.get("platform", ""))
        source = request.body_source()

        def work(report: Callable[[dict[str, Any]], object]) -> None:
            with contextlib.closing(source) as body:
                self._images.load(body, progress=report, quiet=quiet, platform=platform)

        await _Reply(request).run(self._engine, work)

    async def save(self, request: Request) -> None:
        names = request.multiple.get("names") or [request.parameters.get("name", "")]
        self._images.check_saved(names, _platform(request.query.get("platform", "")))
        with contextlib.closing(await request.sink(_TAR)) as sink:
            await self._engine.to_its_end(self._engine.in_thread(self._save, names, sink))

    def _save(self, names: list[str], sink: BodySink) -> None:
        self._images.save(names, sink.write, sink.write_file)
        sink.flush()


def _platform(text: str) -> Platform | None:
    """The JSON of newer calls, one or a list of them. Raises InvalidParameter."""
    if not text:
        return None
    try:
        found = msgspec.json.decode(text, type=Platform | list[Platform])
        if isinstance(found, list):
            if len(found) != 1:
                raise InvalidParameter("one platform at a time is supported")
            found = found[0]
        return normalized(found)
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"failed to parse platform: {error}") from None


class _Reply:
    """A JSON stream whose headers go with its first message: an error before that has a status of its own."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._stream: Stream | None = None

    async def run(self, engine: Engine, work: Callable[[Callable[[dict[str, Any]], object]], object]) -> None:
        def report(message: dict[str, Any]) -> None:
            engine.from_thread(self._send(message))

        await engine.in_thread(work, report)
        if self._stream is None:
            self._stream = await self._request.stream()

    async def _send(self, message: dict[str, Any]) -> None:
        if self._stream is None:
            self._stream = await self._request.stream()
        await self._stream.send(message)
