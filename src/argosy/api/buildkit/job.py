"""One build that a client asked for, from its first word to what it exports.

buildx asks twice. Control.Solve says what is to become of the result, and waits; then, by the gateway,
LLBBridge.Solve says what to build and is given a reference, and Return hands that back to Control.Solve.
The Dockerfile is read when the reference is made; the steps are carried out when it is exported.
"""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait

from argosy.api.buildkit import contexts, references, subrequests
from argosy.api.buildkit.attributes import Wanted, wanted
from argosy.api.buildkit.connection import CANCELLED, RpcError
from argosy.api.buildkit.contexts import Source
from argosy.api.buildkit.failures import as_rpc_error
from argosy.api.buildkit.session import Agents, Session
from argosy.api.buildkit.status import Board, Translation
from argosy.api.buildkit.trees import Trees
from argosy.build import ignore
from argosy.build.arguments import INLINE_CACHE, KEEP_GIT, is_on
from argosy.build.builder import Build, Builder, Request, Result
from argosy.build.contexts import Context
from argosy.build.dockerfile import parse
from argosy.build.intake import read_dockerfile, read_ignore
from argosy.build.interpret import stages
from argosy.build.progress import Began, Ended, Event, Progress, Warned
from argosy.build.remote import without_password
from argosy.build.several import DeliverAll, Several
from argosy.build.tools import Cancelled
from argosy.errors import ArgosyError, Conflict, InvalidParameter, NotFound
from argosy.ids import new_id
from argosy.image import Images, parse_reference
from argosy.spec.buildkit import (
    ControlSolveRequest,
    Definition,
    Exporter,
    GatewayResult,
    Ref,
    ReturnRequest,
    SourceInfo,
)
from argosy.wire import protobuf

_IMAGE, _LAYOUT, _INPUT = "docker-image://", "oci-layout://", "input:"
# Stands for the image of another build until that has been carried out.
_PENDING = "result:"
_POLL = 0.5
# By the reference that a client was given.
ResultOf = Callable[[str], "Future[Result]"]
# The builder counts its steps from 1, and so do we.
_OFFSET = 1 << 20
_STORING = "exporting to image"
_PATIENCE = 5.0
_MOST_ENDED = 64


class Job:
    """Thread-safe as far as its client can tell."""

    def __init__(self, ref: str, builder: Builder, images: Images, trees: Trees, result_of: ResultOf) -> None:
        self.ref = ref
        self.board = Board()
        self.started = time.time_ns()
        self.translation = Translation(ref)
        self.progress = Progress(lambda event: self._report(event, 0))
        self.attributes: Mapping[str, str] = {}
        self._builder = builder
        self._images = images
        self._trees = trees
        self._result_of = result_of
        self._results: dict[str, Future[Result]] = {}
        self._asked: dict[str, tuple[Mapping[str, str], Mapping[str, Definition]]] = {}
        # What must stay until the job has ended.
        self._held = contextlib.ExitStack()
        self._lock = threading.RLock()
        self._returned = threading.Condition(self._lock)
        self._return: ReturnRequest | None = None
        self._cancelled = False
        self._agents: list[Agents] = []
        self._builds: dict[str, Several] = {}
        self._failed_step = ""
        # The steps that store an image, and how many there will be.
        self._storing: set[int] = set()
        self._stores = 0
        self.session: Session | None = None
        self.exporters: Sequence[Exporter] = ()
        # What the user allows the steps beyond what any step may.
        self.entitlements: Sequence[str] = ()
        # Whether there is to be an image, and whether it is to stay.
        self.store = self.keep = False

    # Before and beside the build

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            builds = list(self._builds.values())
            self._returned.notify_all()
        for build in builds:
            build.cancel()

    def give(self, returned: ReturnRequest) -> None:
        """What the client's part of the build came to."""
        with self._lock:
            self._return = returned
            self._returned.notify_all()

    def wait(self) -> Several | None:
        """The build to export, if there is one. Raises RpcError, also the client's own."""
        with self._lock:
            self._returned.wait_for(lambda: self._return is not None or self._cancelled)
            if self._return is None:
                raise RpcError(CANCELLED, "context canceled")
            if self._return.error is not None:
                error = self._return.error
                raise RpcError(error.code, error.message, protobuf.encode(error))
            result = self._return.result
            if result is None or result.ref is None or not result.ref.id:
                return None
            return self.build_of(result.ref.id)

    def build_of(self, reference: str) -> Several:
        """Raises NotFound."""
        try:
            return self._builds[reference]
        except KeyError:
            raise NotFound(f"no such ref: {reference}") from None

    def end(self) -> None:
        for build in self._builds.values():
            _close(build.first)
        for agents in self._agents:
            agents.close()
        for result in self._results.values():
            result.cancel()
        self._held.close()
        self.board.close()

    def warn(self, message: str) -> None:
        self.progress.warn(Warned(message))

    # The frontend

    def solve(self, attributes: Mapping[str, str], inputs: Mapping[str, Definition]) -> GatewayResult:
        """What the attributes ask for; `inputs` are results of other builds. Raises RpcError."""
        self.attributes = attributes
        build: Several | None = None
        try:
            asked = wanted(attributes)
            if asked.subrequest == subrequests.DESCRIBE:
                return GatewayResult(metadata=subrequests.describe())
            build = self._prepared(asked, inputs)
            if asked.subrequest:
                try:
                    return GatewayResult(metadata=subrequests.answer(asked.subrequest, build.first))
                finally:
                    _close(build.first)
            # Before anything is carried out: one that cannot be understood.
            stages(parse(build.first.request.dockerfile, build.first.request.name))
        except ArgosyError as error:
            raise as_rpc_error(error, build.first if build is not None else None) from None
        identifier = new_id()
        with self._lock:
            self._builds[identifier] = build
            self._results[identifier] = Future()
            self._asked[identifier] = attributes, inputs
            if self._cancelled:
                build.cancel()
        return GatewayResult(Ref(identifier, references.definition(identifier)))

    def result(self, reference: str) -> "Future[Result] | None":
        """What a build of this job comes to, once it has been carried out; cancelled if it never is."""
        return self._results.get(reference)

    def run(self, build: Several, deliver: DeliverAll) -> None:
        """Raises RpcError."""
        with self._lock:
            futures = [self._results[name] for name, other in self._builds.items() if other is build]
        try:
            for each in build.builds:
                each.request.images = {
                    name: self._result_image(name, place) if place.startswith(_PENDING) else place
                    for name, place in each.request.images.items()
                }
            self._stores += len(build.builds)
            results = build.run(deliver)
        except ArgosyError as error:
            failure = as_rpc_error(error, build.first, self._failed_step)
            for future in futures:
                if not future.done():
                    future.set_exception(failure)
            raise failure from error
        for future in futures:
            if not future.done():
                future.set_result(results[0])

    def evaluate(self, reference: str) -> None:
        """Carry it out here and now, and export it later from the cache. Raises RpcError, NotFound."""
        build = self.build_of(reference)
        self.run(build, lambda _: None)
        again = self.solve(*self._asked[reference])
        assert again.ref is not None
        with self._lock:
            self._builds[reference] = self._builds.pop(again.ref.id)

    def _prepared(self, asked: Wanted, inputs: Mapping[str, Definition]) -> Several:
        session = self.session
        assert session is not None
        source = Source(session, self._trees, self._builder.digests, self.progress)
        found: dict[str, Context] = {}
        layouts = {
            name: contexts.layout(place, session)
            for name, place in asked.contexts.items()
            if place.startswith(_LAYOUT)
        }
        images = {name: place for name, place in asked.contexts.items() if place.startswith(_IMAGE)}
        try:
            text, excluded = self._definition(asked, source, found)
            if "" not in found:
                title = "[internal] load build context"
                found[""] = source.directory(asked.main_name, "", title, excluded)
            for name, place in asked.contexts.items():
                if place.startswith(_INPUT):
                    images[name] = _PENDING + _reference(place.removeprefix(_INPUT), inputs)
                elif name not in images and name not in layouts:
                    found[name] = self._named(name, place, source)
        except BaseException:
            for context in found.values():
                context.close()
            raise
        for unknown in asked.unknown:
            self.warn(f"{unknown} is not known to this engine and has no effect")
        for each in asked.cache_imports:
            if not each.is_at_registry:
                step = self.progress.begin(f"importing cache manifest from {each.name}")
                step.end(error="this engine takes a cache from registries; others it cannot reach from here")
        agents = Agents(session)
        self._agents.append(agents)
        request = Request(
            text,
            asked.filename,
            found,
            images,
            asked.options,
            pull=asked.pull,
            secret=session.secret,
            agent=agents.socket_of,
            credentials_for=session.credentials,
            imports=[
                parse_reference(each.name).with_default_tag()
                for each in asked.cache_imports
                if each.is_at_registry
            ],
            place=f"{session.shared_key}\0{asked.filename}\0{asked.options.target}",
            layouts=layouts,
            attest=asked.attest,
            inline_cache=is_on(asked.options.build_args, INLINE_CACHE),
            arguments=self.attributes,
            entitlements=self.entitlements,
            store=self.store,
            keep=self.keep and not asked.platforms,
        )
        build = Several(self._builder, request, lambda event: self._report(event, _OFFSET), asked.platforms)
        build.first.past.id = self.ref
        return build

    def _definition(
        self, asked: Wanted, source: Source, found: dict[str, Context]
    ) -> tuple[bytes, ignore.Ignore | None]:
        """The Dockerfile, and what is to be left out of the context."""
        session, name = self.session, asked.filename
        assert session is not None
        excluded: ignore.Ignore | None = None
        if asked.main:
            with self.progress.begin(f"[internal] load remote build context {without_password(asked.main)}"):
                main = found[""] = contexts.remote(
                    asked.main,
                    session,
                    self._builder.intake,
                    keep_git=is_on(asked.options.build_args, KEEP_GIT),
                )
            if not asked.dockerfile_is_local:
                main.ignore = read_ignore(main, name)
        step = self.progress.begin(f"[internal] load build definition from {name}")
        self.translation.source_vertex = step.number
        with step:
            if asked.main and not asked.dockerfile_is_local:
                text = read_dockerfile(found[""], name)
            else:
                paths = [name, f"{name}{contexts.IGNORE}"]
                if name.rpartition("/")[2] == "Dockerfile":
                    paths.append(name.removesuffix("Dockerfile") + "dockerfile")
                with source.files(asked.dockerfile_name, paths, step, "dockerfile") as files:
                    text = _dockerfile(files, name)
                    excluded = read_ignore(files, name)
        self.translation.source = SourceInfo(name, text, "Dockerfile")
        if not asked.main and excluded is None:
            excluded = source.ignored(asked.main_name, "[internal]")
        return text, excluded

    def _result_image(self, name: str, place: str) -> str:
        """The ID of an image that another build makes, whether that is stored or not. Waits for it."""
        future = self._result_of(place.removeprefix(_PENDING))
        while not wait([future], _POLL).done:
            if self._cancelled:
                raise Cancelled("context canceled")
        try:
            result = future.result()
        except CancelledError:
            raise InvalidParameter(f"the build of context {name} was called off") from None
        lease = self._held.enter_context(self._images.lease())
        record = self._images.assembler.register(result.configuration, lease)
        self._held.callback(self._images.remove_nameless, record)
        return record.id

    def _named(self, name: str, place: str, source: Source) -> Context:
        session = self.session
        assert session is not None
        kind, _, rest = place.partition(":")
        title = f"[context {name}]"
        if kind == "local":
            excluded = source.ignored(rest, title)
            return source.directory(rest, name, f"{title} load from client", excluded)
        if kind not in ("http", "https", "git", "ssh") and not place.startswith("git@"):
            raise contexts.refused(name, place)
        with self.progress.begin(f"{title} {without_password(place)}"):
            return contexts.remote(place, session, self._builder.intake)

    def _report(self, event: Event, offset: int) -> None:
        with self._lock:
            # The builder stores the image; what clients are used to read of that, `Export` says.
            more = len(self._storing) < self._stores
            if isinstance(event, Began) and offset and event.name == _STORING and more:
                self._storing.add(event.number)
            if isinstance(event, Began | Ended) and offset and event.number in self._storing:
                return
            if isinstance(event, Ended) and event.error and event.error != "context canceled":
                self._failed_step = self._failed_step or self.translation.digest(event.number + offset)
            response = self.translation.respond(event, offset)
        self.board.put(response)


class Jobs:
    """Thread-safe. Those that have ended are kept a while: their last events may not have been read."""

    def __init__(self, builder: Builder, images: Images, trees: Trees) -> None:
        self._builder = builder
        self._images = images
        self._trees = trees
        self._changed = threading.Condition()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._ended: OrderedDict[str, Job] = OrderedDict()

    def begin(self, request: ControlSolveRequest, session: Session) -> Job:
        """Raises Conflict."""
        job = Job(request.ref, self._builder, self._images, self._trees, self._result_of)
        job.session = session
        job.entitlements = request.entitlements
        job.attributes = request.frontend_attributes
        with self._changed:
            if not request.ref or request.ref in self._jobs:
                raise Conflict(f"job ID {request.ref} exists")
            self._jobs[request.ref] = job
            self._changed.notify_all()
        return job

    def end(self, job: Job) -> None:
        job.end()
        with self._changed:
            del self._jobs[job.ref]
            self._ended[job.ref] = job
            while len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)

    def get(self, ref: str) -> Job:
        """It may be on its way. Raises NotFound."""
        with self._changed:
            self._changed.wait_for(lambda: ref in self._jobs or ref in self._ended, _PATIENCE)
            job = self._jobs.get(ref) or self._ended.get(ref)
        if job is None:
            raise NotFound(f"no such job {ref}")
        return job

    def board(self, ref: str) -> Board | None:
        """Of one whose events somebody has yet to read; None for one of the past, or of no build at all."""
        with self._changed:
            ended = self._ended.get(ref)
            is_new = ref in self._jobs or (ended is not None and not ended.board.is_over)
        if not is_new and (ended is not None or self._builder.remembers(ref)):
            return None
        try:
            return self.get(ref).board
        except NotFound:
            return None

    def _result_of(self, reference: str) -> Future[Result]:
        """Raises NotFound."""
        with self._changed:
            jobs = [*self._jobs.values(), *self._ended.values()]
        for job in jobs:
            if (found := job.result(reference)) is not None:
                return found
        raise NotFound(f"no such ref: {reference}")

    def active(self) -> list[Job]:
        with self._changed:
            return list(self._jobs.values())

    def cancel_all(self) -> None:
        for job in self.active():
            job.cancel()


def _close(build: Build) -> None:
    for context in build.request.contexts.values():
        context.close()


def _reference(name: str, inputs: Mapping[str, Definition]) -> str:
    """Raises InvalidParameter, NotImplementedYet."""
    if name not in inputs:
        raise InvalidParameter(f"invalid input {name}")
    return references.reference(inputs[name])


def _dockerfile(files: Context, name: str) -> bytes:
    try:
        return read_dockerfile(files, name)
    except ArgosyError:
        if name.rpartition("/")[2] == "Dockerfile":
            with contextlib.suppress(ArgosyError):
                return read_dockerfile(files, name.removesuffix("Dockerfile") + "dockerfile")
        raise
