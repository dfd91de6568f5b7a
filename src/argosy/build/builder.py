"""Building an image: the whole way from a Dockerfile and a context to an image in the store.

    parse → stages → graph of vertices → solver → layers → configuration → image

One `Builder` serves all builds of an engine. A build works in the calling thread and in threads of its own.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from argosy.build import lint
from argosy.build.cache import BuildCache
from argosy.build.cache_mounts import CacheMounts
from argosy.build.complain import DockerfileError
from argosy.build.configuration import configuration
from argosy.build.contexts import Context
from argosy.build.dockerfile import Dockerfile, parse
from argosy.build.files import FileDigests
from argosy.build.graph import Base, Graph, Options
from argosy.build.progress import Progress, Report, Warned
from argosy.build.solver import Failure, InFlight, Outcome, Solver
from argosy.build.tools import Cancelled, Tools
from argosy.build.worker import Worker
from argosy.database import Database
from argosy.errors import ArgosyError, InvalidParameter, NotFound
from argosy.image import Credentials, ImageRecord, Images, Reference, parse_reference
from argosy.image.platforms import mismatch, parse_platform

_IMAGE = "docker-image://"
_EPOCH = "SOURCE_DATE_EPOCH"
_NANOSECONDS = 1_000_000_000


@dataclass(slots=True)
class Request:
    """One build. `contexts` are named ones beside the main one, ""; `images` named ones that are images.

    `credentials_for` is asked for a registry's host. Contexts are the build's, which closes them.
    """

    dockerfile: bytes
    name: str = "Dockerfile"
    contexts: dict[str, Context] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    tags: Sequence[str] = ()
    pull: bool = False
    secret: Callable[[str], bytes | None] = lambda identifier: None
    agent: Callable[[str], str | None] = lambda identifier: None
    credentials_for: Callable[[str], Credentials] = lambda host: Credentials()
    store: bool = True
    check: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """`diff_ids` are the target's layers; `image` is None if none was to be stored."""

    image: ImageRecord | None
    configuration: bytes
    diff_ids: tuple[str, ...]
    platform: str
    warnings: tuple[lint.Warning, ...]
    steps: int
    cached: int


class Builder:
    """Thread-safe."""

    def __init__(self, images: Images, database: Database, worker: Worker, root: str) -> None:
        self._images = images
        self.cache = BuildCache(database)
        self.mounts = CacheMounts(os.path.join(root, "build-mounts"))
        self.mounts.clean()
        self.digests = FileDigests()
        self._worker = worker
        self._in_flight = InFlight()
        images.add_roots(self.cache.roots)

    def begin(self, request: Request, report: Report) -> "Build":
        return Build(self, self._images, self._worker, self._in_flight, request, Progress(report))


class Build:
    """One build under way. `cancel` may be called from any thread."""

    def __init__(
        self,
        builder: Builder,
        images: Images,
        worker: Worker,
        in_flight: InFlight,
        request: Request,
        progress: Progress,
    ) -> None:
        self._builder = builder
        self._images = images
        self._worker = worker
        self._in_flight = in_flight
        self._request = request
        self._progress = progress
        self._cancelled = threading.Event()
        self._tools: Tools | None = None
        self.dockerfile: Dockerfile | None = None
        self.solver: Solver | None = None
        self.graph: Graph | None = None

    def cancel(self) -> None:
        self._cancelled.set()
        if self._tools is not None:
            self._tools.cancel()

    def run(self, deliver: Callable[["Build", Outcome], object] | None = None) -> Result:
        """`deliver` is given the target's layers while they are certain to stay.

        Raises DockerfileError, Failure, Cancelled, and what pulling raises.
        """
        request = self._request
        try:
            with self._images.lease() as lease:
                dockerfile = self._read()
                options = _with_epoch(request.options)
                self._tools = tools = Tools(
                    assembler=self._images.assembler,
                    cache=self._builder.cache,
                    mounts=self._builder.mounts,
                    worker=self._worker,
                    lease=lease,
                    digests=self._builder.digests,
                    contexts=request.contexts,
                    secret=request.secret,
                    agent=request.agent,
                    now=options.latest if options.latest is not None else time.time_ns(),
                    latest=options.latest,
                    cancelled=self._cancelled,
                )
                tools.check()
                self.graph = graph = Graph(dockerfile, options, self._resolve)
                warnings = self._warnings(dockerfile, options)
                self.solver = solver = Solver(tools, self._in_flight, self._progress)
                outcome = solver.solve(graph.target.vertex)
                self._builder.cache.use(solver.used_keys)
                self._warn_of_unused(graph)
                document = configuration(
                    graph.target, outcome.diff_ids, solver.outcome, options.labels, options.latest
                )
                image = self._stored(document) if request.store else None
                if deliver is not None:
                    deliver(self, outcome)
                outcomes = [found for v in graph.vertices if (found := solver.outcome(v)) is not None]
                return Result(
                    image,
                    document,
                    outcome.diff_ids,
                    graph.target.platform,
                    tuple(warnings),
                    len(outcomes),
                    sum(each.cached for each in outcomes),
                )
        finally:
            for context in request.contexts.values():
                context.close()

    def check(self) -> lint.Report:
        """The Dockerfile's checks, and nothing built. Raises DockerfileError."""
        dockerfile = self._read()
        return lint.check(dockerfile, self._surroundings(self._request.options))

    def source(self) -> str:
        return self._request.dockerfile.decode("utf-8", "replace")

    def _read(self) -> Dockerfile:
        self.dockerfile = parse(self._request.dockerfile, self._request.name)
        return self.dockerfile

    def _surroundings(self, options: Options) -> lint.Surroundings:
        main = self._request.contexts.get("")
        return lint.Surroundings(
            build_args=options.build_args,
            ignore=main.ignore if main is not None else None,
            build_platform=options.build_platform,
            target_platform=options.platform,
            target=options.target,
        )

    def _warnings(self, dockerfile: Dockerfile, options: Options) -> list[lint.Warning]:
        report = lint.check(dockerfile, self._surroundings(options))
        for each in report.warnings:
            self._progress.warn(
                Warned(
                    f"{each.rule}: {each.message} (line {each.first_line})",
                    each.description,
                    each.url,
                    each.first_line,
                    each.last_line,
                    each.rule,
                )
            )
        if report.error is not None and report.error.message.startswith("lint violation"):
            raise report.error
        return report.warnings

    def _warn_of_unused(self, graph: Graph) -> None:
        unused = graph.unused_arguments
        if unused:
            listed = " ".join(unused)
            self._progress.warn(Warned(f"One or more build-args [{listed}] were not consumed"))

    def _stored(self, document: bytes) -> ImageRecord:
        references = [_target(tag) for tag in self._request.tags]
        assert self._tools is not None
        shown = ", ".join(reference.familiar for reference in references)
        step = self._progress.begin(f"exporting to image{f' {shown}' if shown else ''}")
        try:
            record = self._images.assembler.register(document, self._tools.lease, references)
        except ArgosyError as error:
            step.end(error=error.message)
            raise
        step.end()
        return record

    def _resolve(self, reference: str, platform: str) -> Base:
        """An image that is here, unless it is for another platform or a newer one is wanted; else pulled."""
        named = self._request.images.get(reference, "")
        text = named.removeprefix(_IMAGE) if named else reference
        wanted = parse_platform(platform)
        try:
            record = self._images.resolve(text)
            here = not mismatch(text, record.document, wanted)
        except NotFound:
            here = False
        if not here or self._request.pull:
            record = self._pulled(text, platform)
        return Base(record.id, record.document)

    def _pulled(self, text: str, platform: str) -> ImageRecord:
        reference = parse_reference(text).with_default_tag()
        step = self._progress.begin(f"[internal] load metadata for {reference}")
        try:
            record = self._images.pull(
                text,
                platform=platform,
                credentials=self._request.credentials_for(reference.domain),
                progress=lambda message: _count(step, message),
            )
        except ArgosyError as error:
            step.end(error=error.message)
            raise
        step.end()
        return record


def _count(step: object, message: Mapping[str, object]) -> None:
    from argosy.build.progress import StepProgress

    assert isinstance(step, StepProgress)
    detail = message.get("progressDetail")
    identifier = str(message.get("id") or "")
    if identifier and isinstance(detail, dict) and detail.get("current"):
        step.count(identifier, int(detail["current"]), int(detail.get("total") or 0))


def _target(tag: str) -> Reference:
    reference = parse_reference(tag)
    if reference.digest:
        raise InvalidParameter(f"invalid tag {tag!r}: a digest cannot be given to an image")
    return reference.with_default_tag()


def _with_epoch(options: Options) -> Options:
    text = options.build_args.get(_EPOCH, "")
    if not text:
        return options
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise InvalidParameter(f"invalid {_EPOCH}: {text!r} is no number of seconds")
    from dataclasses import replace

    return replace(options, latest=int(text) * _NANOSECONDS)


__all__ = ["Build", "Builder", "Cancelled", "DockerfileError", "Failure", "Request", "Result"]
