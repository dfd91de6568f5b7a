"""moby.buildkit.v1.Control: builds, their progress, what they left, past ones."""

import functools
from collections.abc import Callable
from typing import TypeVar

import msgspec

import argosy
from argosy.api.buildkit.connection import UNKNOWN, Call, Handle, RpcError
from argosy.api.buildkit.export import Export, keeps_image, wants_image
from argosy.api.buildkit.history import History
from argosy.api.buildkit.job import Job, Jobs
from argosy.api.buildkit.references import refused_definition
from argosy.api.buildkit.session import Sessions
from argosy.api.buildkit.usage import Usage
from argosy.build.several import Several
from argosy.errors import ArgosyError, NotImplementedYet
from argosy.image import Images
from argosy.image.platforms import host_platform
from argosy.spec import buildkit as messages
from argosy.wire import protobuf

T = TypeVar("T", bound=msgspec.Struct)
_PREFIX = "/moby.buildkit.v1.Control/"
_FRONTEND = "dockerfile.v0"
# Clients take this label for a sign that images can be exported as archives.
_SNAPSHOTTER = "org.mobyproject.buildkit.worker.snapshotter"


def unary(kind: type[T], method: Callable[[T], msgspec.Struct]) -> Handle:
    """A call of one message each way."""

    def handle(call: Call) -> None:
        call.send(protobuf.encode(method(received(call, kind))))

    return handle


def received(call: Call, kind: type[T]) -> T:
    return protobuf.decode(kind, call.receive() or b"")


class Control:
    def __init__(
        self,
        images: Images,
        sessions: Sessions,
        jobs: Jobs,
        history: History,
        usage: Usage,
        tunnel: Handle,
    ) -> None:
        self._images = images
        self._sessions = sessions
        self._jobs = jobs
        self._history = history
        self._usage = usage
        self._tunnel = tunnel

    def methods(self) -> dict[str, Handle]:
        found: dict[str, Handle] = {
            "Solve": self._solve,
            "Status": self._status,
            "Session": self._tunnel,
            "ListWorkers": unary(messages.Empty, self._workers),
            "Info": unary(messages.Empty, lambda _: messages.InfoResponse(version())),
            "DiskUsage": unary(messages.DiskUsageRequest, self._disk_usage),
            "Prune": self._prune,
            "ListenBuildHistory": self._listen,
            "UpdateBuildHistory": unary(messages.UpdateBuildHistoryRequest, self._update),
        }
        return {_PREFIX + name: handle for name, handle in found.items()}

    # Building

    def _solve(self, call: Call) -> None:
        request = received(call, messages.ControlSolveRequest)
        if request.definition:
            raise refused_definition()
        if request.source_policy:
            raise NotImplementedYet(
                "source policies are not supported", hint="Unset EXPERIMENTAL_BUILDKIT_SOURCE_POLICY."
            )
        exporters = request.exporters
        if not exporters and request.exporter:
            exporters = [messages.Exporter(request.exporter, request.exporter_attributes)]
        session = self._sessions.get(request.session)
        export = Export(self._images, session, exporters)
        job = self._jobs.begin(request, session)
        job.exporters = exporters
        call.on_cancel(job.cancel)
        try:
            response = self._carried_out(job, request, export)
        except ArgosyError as error:
            raise (error if isinstance(error, RpcError) else RpcError(UNKNOWN, str(error))) from None
        finally:
            self._jobs.end(job)
        call.send(protobuf.encode(messages.ControlSolveResponse(response)))

    def _carried_out(self, job: Job, request: messages.ControlSolveRequest, export: Export) -> dict[str, str]:
        store, keep = wants_image(job.exporters), keeps_image(job.exporters)
        job.store, job.keep = store, keep
        build: Several | None
        if not request.frontend:
            build = job.wait()
        elif request.frontend == _FRONTEND:
            result = job.solve(request.frontend_attributes, request.inputs)
            build = job.build_of(result.ref.id) if result.ref is not None else None
        else:
            raise refused_frontend(request.frontend)
        if build is None:
            return {}
        for name in export.unknown():
            job.warn(f"{name} is not known to this engine's exporters and has no effect")
        export.check(len(build.builds))
        for each in build.builds:
            each.request.inline_cache |= _wants_inline_cache(request.cache)
        job.run(build, export.deliver)
        return export.response

    def _status(self, call: Call) -> None:
        reference = received(call, messages.StatusRequest).ref
        board = self._jobs.board(reference)
        if board is not None:
            call.answer()
            for data in board.read(call):
                call.send(data)
            return
        for response in self._history.replay(reference):
            call.send(protobuf.encode(response))

    # About the engine

    def _workers(self, _: messages.Empty) -> messages.ListWorkersResponse:
        return messages.ListWorkersResponse([worker(self._images)])

    def _disk_usage(self, request: messages.DiskUsageRequest) -> messages.DiskUsageResponse:
        return messages.DiskUsageResponse(self._usage.records(request.filter))

    def _prune(self, call: Call) -> None:
        for record in self._usage.prune(received(call, messages.PruneRequest)):
            call.send(protobuf.encode(record))

    # Past builds

    def _listen(self, call: Call) -> None:
        request = received(call, messages.BuildHistoryRequest)
        call.answer()
        for event in self._history.events(request, self._jobs.active(), call):
            call.send(protobuf.encode(event))

    def _update(self, request: messages.UpdateBuildHistoryRequest) -> messages.Empty:
        self._history.update(request)
        return messages.Empty()


def version() -> messages.BuildkitVersion:
    return messages.BuildkitVersion("argosy", f"v{argosy.__version__}")


@functools.cache
def _platforms() -> list[messages.Platform]:
    own = host_platform()
    found = [messages.Platform(own.architecture, own.os, own.variant or "")]
    if own.architecture == "amd64":
        found.append(messages.Platform("386", own.os))
    return found


def worker(images: Images) -> messages.WorkerRecord:
    labels = {_SNAPSHOTTER: images.snapshotter.driver}
    return messages.WorkerRecord("argosy", labels, _platforms(), version())


def refused_frontend(name: str) -> NotImplementedYet:
    return NotImplementedYet(
        f"this engine has no frontend {name}", hint=f"It has {_FRONTEND}, with the current syntax."
    )


def _wants_inline_cache(cache: messages.CacheOptions | None) -> bool:
    """Raises NotImplementedYet for any other export: buildx asks for none of an engine's own builder."""
    exports = cache.exports if cache is not None else []
    for entry in exports:
        if entry.type != "inline":
            raise NotImplementedYet(
                f"the build cache cannot be exported to {entry.type} this way",
                hint="argosy build --cache-to can; here, type=inline puts it into the image.",
            )
    return bool(exports)
