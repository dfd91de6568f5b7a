"""Solving a graph: each vertex once, as soon as what it stands on is there, from the cache if it can be.

A chain of vertices, each on the one before, is walked by one thread; what its steps need from elsewhere is
begun first, each in a thread of its own. Two builds that come to the same key at the same time share one
execution. The first failure calls off everything else.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from argosy.build.cache import Record
from argosy.build.complain import DockerfileError
from argosy.build.lay import Changed
from argosy.build.progress import Progress, StepProgress
from argosy.build.run import RunOperation
from argosy.build.tools import Cancelled, Tools
from argosy.build.transfer import Transfer, make_directory
from argosy.build.vertex import CopyVertex, ImageVertex, RunVertex, Vertex, WorkdirVertex
from argosy.errors import ArgosyError
from argosy.ids import new_id

Diff = tuple[str, ...]
_ATTEMPTS = 3


class Outcome(NamedTuple):
    """`created` in Unix nanoseconds, 0 for what was there before; `parts` is what the key was made of."""

    diff_ids: Diff
    created: int = 0
    cached: bool = False
    key: str = ""
    seconds: float = 0.0
    parts: dict[str, str] = {}


class Failure(ArgosyError):
    """A step could not be carried out. `vertex` is that step, `cause` what happened."""

    def __init__(self, vertex: Vertex, cause: ArgosyError) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.status = cause.status
        self.vertex = vertex
        self.cause = cause


class InFlight:
    """Executions that are going on, by key, for all builds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Future[Record]] = {}

    def once(self, key: str, execute: Callable[[], Record]) -> tuple[Record, bool]:
        """The record, and whether it was this caller who made it."""
        while True:
            with self._lock:
                future = self._running.get(key)
                if future is None:
                    mine: Future[Record] = Future()
                    self._running[key] = mine
            if future is None:
                break
            try:
                return future.result(), False
            except Cancelled:
                # The other build was called off; this one was not.
                continue
        try:
            record = execute()
        except BaseException as error:
            self._forget(key)
            mine.set_exception(error)
            raise
        self._forget(key)
        mine.set_result(record)
        return record, True

    def _forget(self, key: str) -> None:
        with self._lock:
            del self._running[key]


@dataclass(slots=True)
class _Entry:
    future: "Future[Outcome]"
    number: int = 0


class Solver:
    def __init__(self, tools: Tools, in_flight: InFlight, progress: Progress) -> None:
        self._tools = tools
        self._in_flight = in_flight
        self._progress = progress
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._vertices: list[Vertex] = []
        self._threads: list[threading.Thread] = []
        self.used_keys: set[str] = set()

    def solve(self, vertex: Vertex) -> Outcome:
        """Raises Failure for the first step that fails, Cancelled."""
        try:
            return self._walk(vertex)
        finally:
            for thread in self._threads:
                thread.join()

    def outcome(self, vertex: Vertex) -> Outcome | None:
        entry = self._entries.get(id(vertex))
        if entry is None or not entry.future.done() or entry.future.exception() is not None:
            return None
        return entry.future.result()

    def steps(self) -> list[tuple[int, Vertex, Outcome | None]]:
        """Every vertex that was begun, by its step's number; no outcome if it failed."""
        return sorted(
            (
                (entry.number, vertex, self.outcome(vertex))
                for vertex in self._vertices
                if (entry := self._entries[id(vertex)]).number
            ),
            key=lambda each: each[0],
        )

    def _walk(self, head: Vertex) -> Outcome:
        chain = []
        at: Vertex | None = head
        while at is not None:
            chain.append(at)
            at = at.base
        chain.reverse()
        for vertex in chain:
            for side in vertex.inputs():
                self._start(side)
        outcome = Outcome(())
        for vertex in chain:
            outcome = self._outcome(vertex)
        return outcome

    def _start(self, vertex: Vertex) -> None:
        with self._lock:
            if id(vertex) in self._entries:
                return
            thread = threading.Thread(target=self._aside, args=(vertex,), name="build", daemon=True)
            self._threads.append(thread)
        thread.start()

    def _aside(self, vertex: Vertex) -> None:
        try:
            self._walk(vertex)
        except ArgosyError:
            # Whoever needs the vertex finds the failure in its future.
            return

    def _outcome(self, vertex: Vertex) -> Outcome:
        with self._lock:
            entry = self._entries.get(id(vertex))
            mine = entry is None
            if entry is None:
                entry = self._entries[id(vertex)] = _Entry(Future())
                # So that its identity stays its own.
                self._vertices.append(vertex)
        if not mine:
            return entry.future.result()
        try:
            outcome = self._work(vertex, entry)
        except BaseException as error:
            entry.future.set_exception(error)
            self._tools.cancel()
            raise
        entry.future.set_result(outcome)
        return outcome

    def _work(self, vertex: Vertex, entry: _Entry) -> Outcome:
        self._tools.check()
        base = self._outcome(vertex.base).diff_ids if vertex.base is not None else ()
        sides = [self._walk(side).diff_ids for side in vertex.inputs()]
        if isinstance(vertex, ImageVertex) and vertex.reference == "scratch":
            return Outcome(())
        inputs = [
            self._entries[id(each)].number for each in (vertex.base, *vertex.inputs()) if each is not None
        ]
        step = self._progress.begin(vertex.label, vertex.stage, [number for number in inputs if number])
        entry.number = step.number
        try:
            outcome = self._carried_out(vertex, base, sides, step)
        except Cancelled:
            step.end(error="context canceled")
            raise
        except ArgosyError as error:
            step.end(error=error.message)
            if isinstance(error, DockerfileError) and vertex.lines is not None:
                error = error.at(vertex.lines.first, vertex.lines.last)
            raise Failure(vertex, error) from error
        except BaseException as error:
            step.end(error=str(error))
            raise
        step.end(cached=outcome.cached)
        return outcome

    def _carried_out(self, vertex: Vertex, base: Diff, sides: Sequence[Diff], step: StepProgress) -> Outcome:
        match vertex:
            case ImageVertex():
                return Outcome(
                    vertex.diff_ids, cached=self._tools.assembler.has(vertex.diff_ids, self._tools.lease)
                )
            case WorkdirVertex():
                return self._workdir(vertex, base, step)
            case CopyVertex():
                return self._copy(vertex, base, sides[0] if sides else (), step)
            case RunVertex():
                return self._run(vertex, base, sides, step)
            case _:
                raise AssertionError(vertex)

    def _workdir(self, vertex: WorkdirVertex, base: Diff, step: StepProgress) -> Outcome:
        latest = self._tools.latest
        parts = {
            "step": vertex.definition,
            "base": ",".join(base),
            "epoch": str(latest) if latest is not None else "",
        }

        def execute() -> str:
            return make_directory(vertex, self._tools, base, step)

        return self._cached_or(vertex, parts, base, step, execute)

    def _copy(self, vertex: CopyVertex, base: Diff, source: Diff, step: StepProgress) -> Outcome:
        for attempt in range(1, _ATTEMPTS + 1):
            transfer = Transfer(vertex, self._tools, base, source, step)
            try:
                quick = transfer.quick_parts()
                found = self._cached(quick, base) if quick is not None and not vertex.no_cache else None
                if found is not None:
                    return found
                outcome = self._cached_or(vertex, transfer.parts(), base, step, transfer.execute)
                if quick is not None:
                    self._remember_also(quick, outcome)
                return outcome
            except Changed:
                if attempt == _ATTEMPTS:
                    raise
                if vertex.origin.vertex is None and vertex.sources:
                    self._tools.contexts[vertex.origin.context].refresh()
            finally:
                transfer.close()
        raise AssertionError("unreachable")

    def _run(self, vertex: RunVertex, base: Diff, sides: Sequence[Diff], step: StepProgress) -> Outcome:
        remaining = iter(sides)
        sources: list[Diff] = [
            next(remaining) if each.origin is not None and each.origin.vertex is not None else ()
            for each in vertex.attachments
        ]
        operation = RunOperation(vertex, self._tools, base, sources)
        return self._cached_or(vertex, operation.parts(), base, step, lambda: operation.execute(step))

    # From parts to a result

    def _cached(self, parts: dict[str, str], base: Diff) -> Outcome | None:
        key = _key(parts)
        record = self._tools.cache.get(key)
        if record is None:
            return None
        diff_ids = (*base, record.diff_id)
        if not self._tools.assembler.has(diff_ids, self._tools.lease):
            return None
        self.used_keys.add(key)
        return Outcome(diff_ids, record.created, True, key, record.seconds, parts)

    def _cached_or(
        self,
        vertex: Vertex,
        parts: dict[str, str],
        base: Diff,
        step: StepProgress,
        execute: Callable[[], str],
    ) -> Outcome:
        if not vertex.no_cache:
            found = self._cached(parts, base)
            if found is not None:
                return found
        key = _key(parts)

        def make() -> Record:
            self._tools.check()
            began = time.monotonic()
            diff_id = execute()
            diff_ids = (*base, diff_id)
            self._tools.assembler.lay(diff_ids, self._tools.lease)
            now = time.time_ns()
            return Record(
                key=key,
                id=new_id()[:25],
                diff_ids=diff_ids,
                kind="regular",
                description=vertex.lines.text if vertex.lines is not None else vertex.label,
                created=now,
                last_used=now,
                size=self._tools.assembler.size(diff_id),
                seconds=time.monotonic() - began,
                parts=parts,
            )

        record, mine = self._in_flight.once(key, make)
        if mine:
            self._tools.cache.put(record)
        else:
            self._tools.assembler.has(record.diff_ids, self._tools.lease)
        self.used_keys.add(key)
        return Outcome(record.diff_ids, record.created, not mine, key, record.seconds, parts)

    def _remember_also(self, quick: dict[str, str], outcome: Outcome) -> None:
        """The same result by the key that needs no look at files."""
        record = self._tools.cache.get(outcome.key)
        key = _key(quick)
        if record is not None and self._tools.cache.get(key) is None:
            self._tools.cache.put(
                Record(
                    key, record.id, record.diff_ids, record.kind, record.description,
                    record.created, record.last_used, record.size, 1, record.seconds, quick,
                )
            )  # fmt: skip
            self.used_keys.add(key)


def _key(parts: dict[str, str]) -> str:
    text = "\0".join(f"{name}\0{parts[name]}" for name in sorted(parts))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
