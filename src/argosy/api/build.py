"""/build: images from Dockerfiles.

`POST /build` is Docker's: the context is the body, the answer a stream of JSON messages. `POST /builds` is
our own, for `argosy build`: the body is a document, then a tar if the context is elsewhere; the answer is
frames as of attach, on stream 1 the build's events in JSON, on stream 2 and up what the outputs give.
"""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from argosy.api import build_request
from argosy.api.body import BodySource, Gone
from argosy.api.build_messages import Classic
from argosy.api.build_output import Delivery
from argosy.api.build_request import Document, Offered, Wanted
from argosy.api.http import Request, Response, document
from argosy.api.outlet import Outlet
from argosy.api.router import Router
from argosy.build.builder import Builder, Cancelled
from argosy.build.complain import DockerfileError, excerpt
from argosy.build.explain import Explanation
from argosy.build.progress import Event
from argosy.build.run import StepFailed
from argosy.build.several import Several
from argosy.build.solver import Failure
from argosy.build.usage import Limits
from argosy.engine.core import Engine
from argosy.errors import ArgosyError, InvalidParameter, NotFound
from argosy.ids import new_id
from argosy.image.decompress import Prefixed
from argosy.image.tar import Source
from argosy.wire.stdstream import frame

_EVENTS = 1
_LONGEST_LINE = 64 << 20
_PIECE = 1 << 16
_FRAMES = "application/vnd.docker.multiplexed-stream"
_encode = msgspec.json.Encoder().encode


class Done(msgspec.Struct, tag="done", omit_defaults=True):
    """The build's last event."""

    image: str = ""
    steps: int = 0
    cached: int = 0
    warnings: int = 0
    metadata: dict[str, object] = {}
    explanation: Explanation | None = None


class Failed(msgspec.Struct, tag="failed", omit_defaults=True):
    """In place of Done. `step` is the name of the one that failed, `excerpt` shows the Dockerfile's lines.
    `remains` is the image of what it left, if that was asked for."""

    message: str
    hint: str = ""
    excerpt: str = ""
    step: str = ""
    exit_code: int = 0
    remains: str = ""


class BuildRoutes:
    def __init__(self, engine: Engine, builder: Builder, offered: Offered) -> None:
        self._offered = offered
        self._engine = engine
        self._builder = builder
        self._running: dict[str, Several] = {}

    def route(self, router: Router) -> None:
        router.add("POST", "/build", self.classic)
        router.add("POST", "/builds", self.build)
        router.add("GET", "/builds", self.index)
        router.add("GET", "/builds/{id}", self.inspect)
        router.add("POST", "/build/cancel", self.cancel)
        router.add("POST", "/build/prune", self.prune)

    async def cancel(self, request: Request) -> Response:
        identifier = request.query.get("id", "")
        build = self._running.get(identifier)
        if build is None:
            raise NotFound(f"no such build: {identifier}")
        build.cancel()
        return Response(status=204)

    async def index(self, request: Request) -> Response:
        """Past builds without their steps."""
        found = await self._engine.in_thread(self._builder.history)
        for past in found:
            past.steps.clear()
        return document(found)

    async def inspect(self, request: Request) -> Response:
        wanted = request.parameters["id"]
        found = [
            past for past in await self._engine.in_thread(self._builder.history) if past.id.startswith(wanted)
        ]
        if not found:
            raise NotFound(f"no such build: {wanted}", hint="argosy builder history lists them.")
        if len(found) > 1:
            raise InvalidParameter(f"several builds have an ID that begins with {wanted}")
        return document(found[0])

    async def prune(self, request: Request) -> Response:
        filters, every = request.filters(), request.flag("all")
        limits = Limits(
            request.number("reserved-space") or request.number("keep-storage") or 0,
            request.number("max-used-space") or 0,
            request.number("min-free-space") or 0,
        )
        entries, freed = await self._engine.in_thread(
            lambda: self._builder.usage.prune(filters, every=every, limits=limits)
        )
        self._engine.events.publish("builder", "prune", "", {"reclaimed": str(freed)})
        return document({"CachesDeleted": [entry.id for entry in entries] or None, "SpaceReclaimed": freed})

    async def classic(self, request: Request) -> None:
        source = request.body_source()

        def intake() -> Wanted:
            with contextlib.closing(source):
                return build_request.from_query(request, source, self._builder.intake)

        wanted = await self._engine.in_own_thread(intake)
        request.watch()
        outlet = Outlet()
        messages = Classic(outlet.write, quiet=wanted.quiet)

        def work(builds: Several) -> None:
            try:
                result = builds.first.run()
            except Cancelled:
                return
            except ArgosyError as error:
                found = failed(builds, error)
                text = f"{found.message}\n{found.excerpt}{found.hint}".rstrip()
                messages.fail(text, found.exit_code)
            else:
                messages.done(result, wanted.request.tags)

        await self._carry_out(request, wanted, outlet, messages.report, work, "application/json")

    async def build(self, request: Request) -> Response | None:
        source = request.body_source()

        def intake() -> Wanted:
            with contextlib.closing(source):
                asked, rest = _document(source)
                return build_request.from_document(asked, rest, self._builder.intake, self._offered)

        wanted = await self._engine.in_own_thread(intake)
        request.watch()
        outlet = Outlet()

        def report(event: Event | Done | Failed) -> None:
            outlet.write(frame(_EVENTS, _encode(event)))

        def work(builds: Several) -> None:
            if wanted.request.check:
                _check(builds, report)
                return
            delivery = Delivery(self._engine.images, wanted, outlet.write)
            try:
                results = builds.run(delivery.deliver)
            except Cancelled:
                report(Failed("context canceled"))
            except ArgosyError as error:
                report(failed(builds, error))
            else:
                image = results[0].image
                metadata = delivery.metadata(results)
                why = builds.first.explanation() if wanted.explain else None
                steps, cached = sum(each.steps for each in results), sum(each.cached for each in results)
                warnings = len(results[0].warnings)
                report(Done(image.id if image is not None else "", steps, cached, warnings, metadata, why))

        await self._carry_out(request, wanted, outlet, report, work, _FRAMES)
        return None

    async def _carry_out(
        self,
        request: Request,
        wanted: Wanted,
        outlet: Outlet,
        report: Callable[[Event], object],
        work: Callable[[Several], object],
        content_type: str,
    ) -> None:
        """The build in a thread of its own, what it says to the client, and no build without a client."""

        def carefully(event: Event) -> None:
            # A build is called off by its handler, and not where it stands.
            with contextlib.suppress(Gone):
                report(event)

        builds = Several(self._builder, wanted.request, carefully, wanted.platforms)
        identifier = request.query.get("buildid") or new_id()
        self._running[identifier] = builds

        def thread() -> None:
            try:
                with contextlib.suppress(Gone):
                    work(builds)
            finally:
                outlet.close()

        task = asyncio.ensure_future(self._engine.in_own_thread(thread))
        try:
            await outlet.drain(await request.stream(content_type))
            await task
        except (asyncio.CancelledError, Gone):
            builds.cancel()
            await asyncio.wait([task])
            raise
        finally:
            del self._running[identifier]


def failed(builds: Several, error: ArgosyError) -> Failed:
    """What went wrong, with the lines of the Dockerfile that are to blame."""
    cause, step, first, last = error, "", 0, 0
    if isinstance(error, Failure):
        cause, step = error.cause, error.vertex.label
        if error.vertex.lines is not None:
            first, last = error.vertex.lines.first, error.vertex.lines.last
    if isinstance(cause, DockerfileError) and cause.first_line:
        first, last = cause.first_line, cause.last_line
    build = builds.first
    lines = excerpt(build.source(), first, last, build.request.name) if first else ""
    code = cause.exit_code if isinstance(cause, StepFailed) else 0
    return Failed(cause.message, cause.hint, lines, step, code, builds.remains)


def _check(builds: Several, report: Callable[[Event | Done | Failed], object]) -> None:
    try:
        found = builds.first.check()
        if found.error is not None:
            raise found.error
    except ArgosyError as error:
        report(failed(builds, error))
    else:
        report(Done(warnings=len(found.warnings)))


def _document(source: BodySource) -> tuple[Document, Source]:
    """The first line of the body, and what comes after it. Raises InvalidParameter."""
    head = b""
    while (end := head.find(b"\n")) < 0 and (data := source.read(_PIECE)):
        head += data
        if len(head) > _LONGEST_LINE:
            raise InvalidParameter("the request's document is too large")
    line, rest = (head, b"") if end < 0 else (head[:end], head[end + 1 :])
    try:
        return msgspec.json.decode(line, type=Document), Prefixed(rest, source)
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"invalid JSON: {error}") from None
