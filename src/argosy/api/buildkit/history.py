"""Past builds, as `docker buildx history` lists them."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from argosy.api.buildkit.connection import Call, RpcError
from argosy.api.buildkit.job import Job
from argosy.api.buildkit.status import timestamp
from argosy.build.cache import BuildCache
from argosy.errors import NotImplementedYet
from argosy.spec.buildkit import (
    BuildHistoryEvent,
    BuildHistoryRecord,
    BuildHistoryRequest,
    RpcStatus,
    UpdateBuildHistoryRequest,
)

_STARTED, _COMPLETE = 0, 1
_KEEP = 50


class History:
    """Thread-safe."""

    def __init__(self, cache: BuildCache) -> None:
        self._cache = cache

    def remember(self, job: Job, response: Mapping[str, str], error: RpcError | None) -> None:
        record = _record(job)
        record.completed = timestamp(time.time_ns())
        record.exporter_response = dict(response)
        if error is not None:
            record.error = RpcStatus(error.code, error.message)
        self._cache.remember(job.ref, job.started, record, _KEEP)

    def events(
        self, request: BuildHistoryRequest, active: Sequence[Job], call: Call
    ) -> Iterator[BuildHistoryEvent]:
        """What goes on, then what has been; `call` ends it if the client wants to hear of more."""
        wanted = [job for job in active if request.ref in ("", job.ref)]
        for job in wanted:
            yield BuildHistoryEvent(_STARTED, _record(job))
        if not request.active_only:
            records = [record for record in self._all() if request.ref in ("", record.ref)]
            for record in records[: request.limit or None]:
                yield BuildHistoryEvent(_COMPLETE, record)
        if not request.early_exit:
            gone = threading.Event()
            call.on_cancel(gone.set)
            gone.wait()

    def update(self, request: UpdateBuildHistoryRequest) -> None:
        """Raises NotImplementedYet."""
        if request.delete or request.pinned:
            raise NotImplementedYet(
                "records of builds cannot be removed or pinned",
                hint=f"The engine keeps those of the last {_KEEP} builds.",
            )

    def _all(self) -> list[BuildHistoryRecord]:
        found = []
        for each in self._cache.history(_decoded):
            if isinstance(each, BuildHistoryRecord):
                found.append(each)
        return found


def _record(job: Job) -> BuildHistoryRecord:
    translation = job.translation
    return BuildHistoryRecord(
        ref=job.ref,
        frontend="dockerfile.v0",
        frontend_attributes=dict(job.attributes),
        exporters=list(job.exporters),
        created=timestamp(job.started),
        cached_steps=translation.cached,
        total_steps=translation.total,
        completed_steps=translation.completed,
        warnings=translation.warnings,
    )


def _decoded(data: bytes) -> BuildHistoryRecord | None:
    """None for a build that was asked for in another way."""
    try:
        return msgspec.json.decode(data, type=BuildHistoryRecord)
    except msgspec.DecodeError:
        return None
