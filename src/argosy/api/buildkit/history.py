"""Past builds, as `docker buildx history` lists them: those that the builder remembers."""

import threading
from collections.abc import Iterator, Sequence

from argosy.api.buildkit.connection import CANCELLED, UNKNOWN, Call
from argosy.api.buildkit.job import Job
from argosy.api.buildkit.status import Translation, timestamp
from argosy.build.builder import Builder
from argosy.build.past import KEPT, Past
from argosy.build.progress import Began, Ended, Said
from argosy.errors import NotFound, NotImplementedYet
from argosy.spec.buildkit import (
    BuildHistoryEvent,
    BuildHistoryRecord,
    BuildHistoryRequest,
    RpcStatus,
    StatusResponse,
    UpdateBuildHistoryRequest,
)

_STARTED, _COMPLETE = 0, 1
_FRONTEND = "dockerfile.v0"
_NANOSECONDS = 1_000_000_000


class History:
    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def events(
        self, request: BuildHistoryRequest, active: Sequence[Job], call: Call
    ) -> Iterator[BuildHistoryEvent]:
        """What goes on, then what has been; `call` ends it if the client wants to hear of more."""
        for job in active:
            if request.ref in ("", job.ref):
                yield BuildHistoryEvent(_STARTED, _active(job))
        if not request.active_only:
            pasts = [past for past in self._builder.history() if request.ref in ("", past.id)]
            for past in pasts[: request.limit or None]:
                yield BuildHistoryEvent(_COMPLETE, _complete(past))
        if not request.early_exit:
            gone = threading.Event()
            call.on_cancel(gone.set)
            gone.wait()

    def update(self, request: UpdateBuildHistoryRequest) -> None:
        """Raises NotImplementedYet."""
        if request.pinned:
            raise NotImplementedYet(
                "records of builds cannot be pinned",
                hint=f"The engine keeps those of the last {KEPT} builds.",
            )
        if request.delete:
            self._builder.forget(request.ref)

    def replay(self, reference: str) -> Iterator[StatusResponse]:
        """What a past build told, and of what its steps said, the end. Raises NotFound."""
        past = next((past for past in self._builder.history() if past.id == reference), None)
        if past is None:
            raise NotFound(f"no such job {reference}")
        translation = Translation(past.id)
        for number, step in enumerate(past.steps, 1):
            yield translation.respond(Began(number, step.name, step.began))
            if step.log:
                yield translation.respond(Said(number, 1, step.log.encode(), step.began))
            ended = step.began + int(step.seconds * _NANOSECONDS)
            yield translation.respond(Ended(number, ended, step.cached, step.error))


def _active(job: Job) -> BuildHistoryRecord:
    return BuildHistoryRecord(
        ref=job.ref,
        frontend=_FRONTEND,
        frontend_attributes=dict(job.attributes),
        exporters=list(job.exporters),
        created=timestamp(job.started),
    )


def _complete(past: Past) -> BuildHistoryRecord:
    error = None
    if past.status != "completed":
        code = CANCELLED if past.status == "canceled" else UNKNOWN
        error = RpcStatus(code, past.error or "context canceled")
    names = ",".join(past.tags)
    return BuildHistoryRecord(
        ref=past.id,
        frontend=_FRONTEND,
        frontend_attributes={"filename": past.name, **past.arguments},
        error=error,
        created=timestamp(past.started),
        completed=timestamp(past.started + int(past.seconds * _NANOSECONDS)),
        exporter_response={"image.name": names} if names else {},
        cached_steps=sum(step.cached for step in past.steps),
        total_steps=len(past.steps),
        completed_steps=sum(not step.error for step in past.steps),
    )
