"""Building an image: the whole way from a Dockerfile and a context to an image in the store.

    parse → stages → graph of vertices → solver → layers → configuration → image

One `Builder` serves all builds of an engine. A build works in the calling thread and in threads of its own.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from argosy.build import entitlements, lint
from argosy.build.attest.asked import Asked
from argosy.build.bases import Bases
from argosy.build.cache import BuildCache, Record
from argosy.build.cache_mounts import CacheMounts
from argosy.build.complain import DockerfileError, excerpt
from argosy.build.configuration import configuration
from argosy.build.contexts import Context
from argosy.build.dockerfile import Dockerfile, parse
from argosy.build.explain import Explanation, explain
from argosy.build.files import FileDigests
from argosy.build.graph import Graph, Options
from argosy.build.intake import Intake
from argosy.build.layout import Layout
from argosy.build.past import KEPT, Past, Recorder, details, unpack_listing
from argosy.build.portable import PortableCache, with_records, within
from argosy.build.progress import Progress, Report, Warned
from argosy.build.run import StepFailed
from argosy.build.solver import Failure, InFlight, Outcome, Solver
from argosy.build.survey import Selections
from argosy.build.tools import Cancelled, Tools
from argosy.build.usage import Limits, Usage
from argosy.build.vertex import RunVertex
from argosy.build.worker import Worker
from argosy.database import Database
from argosy.errors import ArgosyError, InvalidParameter
from argosy.ids import new_id
from argosy.image import Credentials, ImageRecord, Images, Reference, parse_reference
from argosy.image.platforms import parse_platform
from argosy.image.rootview import RootView
from argosy.linux.remove_tree import discard_tree
from argosy.spec import oci_image
from argosy.units import rfc3339

_MEMORY = "/dev/shm"
# What the cache may take: a tenth of the disk, and on a small one this.
_SHARE_OF_DISK = 10
_LEAST_CACHE = 2 << 30
_EPOCH = "SOURCE_DATE_EPOCH"
_NANOSECONDS = 1_000_000_000

# A build, the target's layers, and its image if one was stored.
Deliver = Callable[["Build", Outcome, ImageRecord | None], object]


@dataclass(slots=True)
class Request:
    """One build. `contexts` are named ones beside the main one, ""; `images` and `layouts` those that
    are images.

    `credentials_for` is asked for a registry's host. Contexts are the build's, which closes them. The image
    is stored for the length of the build (`store`), and for good (`keep`). `place` says what is built, to
    tell which build was the one before. `debug`: what a failed step leaves becomes an image, `Build.remains`.
    `imports` are caches to be had at registries, or in directories of this machine. `arguments` are what the
    client asked for, by the names that BuildKit's frontend has for it, to be attested. `entitlements` are the
    rights that steps may have, see there.
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
    place: str = ""
    debug: bool = False
    imports: Sequence[Reference | str] = ()
    inline_cache: bool = False
    attest: Asked = field(default_factory=Asked)
    arguments: Mapping[str, str] = field(default_factory=dict)
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    store: bool = True
    keep: bool = True
    check: bool = False
    entitlements: Collection[str] = ()


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
        self.selections = Selections()
        self.scratch = _scratch(root)
        self.intake = Intake(os.path.join(root, "build-contexts"), self.digests)
        self.portable = PortableCache(images, self.cache)
        self.usage = Usage(self.cache, self.mounts, images, root)
        self._root = root
        self._worker = worker
        self._in_flight = InFlight()
        images.add_roots(self.cache.roots)

    def begin(self, request: Request, report: Report, beside: "Build | None" = None) -> "Build":
        """`beside` is a build of which this one is a part: what this one does is told as that one's."""
        if beside is None:
            recorder = Recorder(report)
            progress = Progress(recorder)
        else:
            recorder, progress = beside.recorder, beside.progress
        build = Build(self, self._images, self._worker, self._in_flight, request, progress)
        build.recorder = recorder
        build.is_part = beside is not None
        return build

    def close(self) -> None:
        discard_tree(self.scratch)

    def tidy(self) -> None:
        """Let go of what was not used for the longest, if the cache has grown too large."""
        disk = os.statvfs(self._root)
        most = max(_LEAST_CACHE, disk.f_blocks * disk.f_frsize // _SHARE_OF_DISK)
        if sum(record.size for record in self.cache.all()) > most:
            self.usage.prune({}, every=False, limits=Limits(most=most))

    def history(self) -> list[Past]:
        """The newest first."""
        return [msgspec.json.decode(data, type=Past) for data in self.cache.history()]

    def remembers(self, identifier: str) -> bool:
        return self.cache.has_build(identifier)

    def forget(self, identifier: str) -> None:
        """A past build. Idempotent."""
        self.cache.forget_build(identifier)

    def listing(self, digest: str) -> dict[str, str] | None:
        data = self.cache.listing(digest) if digest else None
        return None if data is None else unpack_listing(data)


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
        self.request = request
        self.progress = progress
        self._cancelled = threading.Event()
        self._tools: Tools | None = None
        self.dockerfile: Dockerfile | None = None
        self.recorder = Recorder(lambda event: None)
        self.is_part = False
        # The image of what a failed step has left.
        self.remains = ""
        self.past = Past(new_id(), request.place, request.name, time.time_ns(), tags=list(request.tags))
        self.solver: Solver | None = None
        self.graph: Graph | None = None
        self.bases: Bases | None = None

    def cancel(self) -> None:
        self._cancelled.set()
        if self._tools is not None:
            self._tools.cancel()

    def run(self, deliver: "Deliver | None" = None) -> Result:
        """`deliver` is given the target's layers while they are certain to stay.

        Raises DockerfileError, Failure, Cancelled, and what pulling raises.
        """
        try:
            result = self._run(deliver)
        except Cancelled:
            self._remember("canceled")
            raise
        except ArgosyError as error:
            self._remember("failed", error.message)
            raise
        self.past.image = result.image.id if result.image is not None else ""
        self._remember("completed")
        self._builder.tidy()
        return result

    def explanation(self) -> Explanation:
        """Once it has run."""
        before = next(
            (
                past
                for past in self._builder.history()
                if past.place == self.past.place and past.id != self.past.id and past.status == "completed"
            ),
            None,
        )
        forced = self.request.options.no_cache
        return explain(self.past.steps, before, self._builder.listing, forced=forced)

    def _remember(self, status: str, error: str = "") -> None:
        past, steps = self.past, self.recorder.steps
        past.arguments = dict(self.request.arguments)
        for number, vertex, outcome in self.solver.steps() if self.solver is not None else ():
            step = steps[number]
            step.line = vertex.lines.first if vertex.lines is not None else 0
            step.parts = dict(outcome.parts) if outcome is not None else {}
            step.details = details(vertex)
        past.seconds = (time.time_ns() - past.started) / _NANOSECONDS
        past.status, past.error = status, error
        past.steps = [steps[number] for number in sorted(steps)]
        if not self.is_part:
            self._builder.cache.remember(past.id, past.started, past, KEPT)

    def _run(self, deliver: "Deliver | None") -> Result:
        request = self.request
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
                    selections=self._builder.selections,
                    scratch=self._builder.scratch,
                    contexts=request.contexts,
                    secret=request.secret,
                    agent=request.agent,
                    now=options.latest if options.latest is not None else time.time_ns(),
                    latest=options.latest,
                    keep_failed=request.debug,
                    cancelled=self._cancelled,
                )
                tools.check()
                self._import()
                self.bases = bases = Bases(self._images, request, self.progress, lease)
                self.graph = graph = Graph(dockerfile, options, bases.resolve)
                entitlements.check(graph.vertices, request.entitlements)
                warnings = self._warnings(dockerfile, options)
                self.solver = solver = Solver(tools, self._in_flight, self.progress)
                try:
                    outcome = solver.solve(graph.target.vertex)
                except Failure as failure:
                    self._keep_remains(failure)
                    raise
                self._builder.cache.use(solver.used_keys)
                self._warn_of_unused(graph)
                document = configuration(
                    graph.target, outcome.diff_ids, solver.outcome, options.labels, options.latest
                )
                if request.inline_cache:
                    document = with_records(document, within(self.records(), outcome.diff_ids))
                image = self._stored(document) if request.store else None
                if deliver is not None:
                    deliver(self, outcome, image)
                if image is not None and not request.keep:
                    self._images.remove_nameless(image)
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
            self._close()

    def check(self) -> lint.Report:
        """The Dockerfile's checks, and nothing built. Raises DockerfileError."""
        try:
            dockerfile = self._read()
            report = lint.check(dockerfile, self._surroundings(self.request.options))
            for each in report.warnings:
                self.progress.warn(self._warned(each))
            return report
        finally:
            self._close()

    def records(self) -> list[Record]:
        """What the cache has of this build's steps."""
        keys = sorted(self.solver.used_keys) if self.solver is not None else []
        return [record for key in keys if (record := self._builder.cache.get(key)) is not None]

    def export_cache(
        self, outcome: Outcome, to: Reference | Callable[[bytes], object], *, whole: bool
    ) -> None:
        """To a registry, or as a tar. `whole`: of all stages, not of the target's own steps alone."""
        records = self.records() if whole else within(self.records(), outcome.diff_ids)
        portable = self._builder.portable
        with self.progress.begin("exporting cache") as step:
            if isinstance(to, Reference):
                credentials = self.request.credentials_for(to.domain)
                portable.push(records, to, credentials, step.count_transfer)
            else:
                portable.save(records, to)

    def _import(self) -> None:
        """A cache that cannot be had makes a build slower, and is no reason against it."""
        portable = self._builder.portable
        for source in self.request.imports:
            step = self.progress.begin(f"importing cache manifest from {source}")
            try:
                if isinstance(source, Reference):
                    credentials = self.request.credentials_for(source.domain)
                    portable.fetch(source, credentials, step.count_transfer)
                else:
                    portable.load(source)
            except ArgosyError as error:
                step.end(error=error.message)
            else:
                step.end()

    def view(self, outcome: Outcome) -> RootView:
        """What the layers look like, for as long as the build goes on. Close it."""
        assert self._tools is not None
        return self._images.assembler.view(outcome.diff_ids, self._tools.lease)

    def layer_size(self, diff_id: str) -> int:
        return self._images.assembler.size(diff_id)

    @property
    def epoch(self) -> int | None:
        """SOURCE_DATE_EPOCH, in nanoseconds."""
        return self._tools.latest if self._tools is not None else None

    def _close(self) -> None:
        for context in self.request.contexts.values():
            context.close()
        if self.bases is not None:
            self.bases.close()

    def source(self) -> str:
        return self.request.dockerfile.decode("utf-8", "replace")

    def _read(self) -> Dockerfile:
        self.dockerfile = parse(self.request.dockerfile, self.request.name)
        return self.dockerfile

    def _surroundings(self, options: Options) -> lint.Surroundings:
        main = self.request.contexts.get("")
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
            self.progress.warn(self._warned(each))
        if report.error is not None and report.error.message.startswith("lint violation"):
            raise report.error
        return report.warnings

    def _warned(self, warning: lint.Warning) -> Warned:
        return Warned(
            f"{warning.rule}: {warning.message} (line {warning.first_line})",
            warning.description,
            warning.url,
            warning.first_line,
            warning.last_line,
            warning.rule,
            excerpt(self.source(), warning.first_line, warning.last_line, self.request.name),
        )

    def _warn_of_unused(self, graph: Graph) -> None:
        unused = graph.unused_arguments
        if unused:
            listed = " ".join(unused)
            self.progress.warn(Warned(f"One or more build-args [{listed}] were not consumed"))

    def _keep_remains(self, failure: Failure) -> None:
        step, cause = failure.vertex, failure.cause
        if not isinstance(step, RunVertex) or not isinstance(cause, StepFailed) or not cause.diff_ids:
            return
        assert self._tools is not None
        platform = parse_platform(step.platform)
        document = oci_image.Image(
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            created=rfc3339(time.time_ns()),
            config=oci_image.ImageConfig(
                env=list(step.environment), working_dir=step.workdir, user=step.user, cmd=["/bin/sh"]
            ),
            rootfs=oci_image.RootFS("layers", list(cause.diff_ids)),
        )
        record = self._images.assembler.register(msgspec.json.encode(document), self._tools.lease)
        self.remains = record.id

    def _stored(self, document: bytes) -> ImageRecord:
        references = [_target(tag) for tag in self.request.tags]
        assert self._tools is not None
        shown = ", ".join(reference.familiar for reference in references)
        with self.progress.begin(f"exporting to image{f' {shown}' if shown else ''}"):
            return self._images.assembler.register(document, self._tools.lease, references)


def _scratch(root: str) -> str:
    """In memory. What an engine of the same root that was killed has left in it is removed."""
    parent = _MEMORY if os.path.isdir(_MEMORY) else root
    path = os.path.join(parent, f"argosy-build-{hashlib.sha256(root.encode()).hexdigest()[:16]}")
    discard_tree(path)
    # Another's directory of that name would be in others' hands.
    os.mkdir(path, 0o700)
    return path


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
    return replace(options, latest=int(text) * _NANOSECONDS)


__all__ = ["Build", "Builder", "Cancelled", "DockerfileError", "Failure", "Request", "Result"]
