"""What the operations of one build work with."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from argosy.build.cache import BuildCache
from argosy.build.cache_mounts import CacheMounts
from argosy.build.contexts import Context
from argosy.build.files import FileDigests
from argosy.build.survey import Selections
from argosy.build.worker import Worker
from argosy.errors import ArgosyError
from argosy.image.assemble import Assembler
from argosy.image.leases import Lease


class Cancelled(ArgosyError):
    """The build was called off, by its user or because another of its steps failed."""


@dataclass(slots=True)
class Tools:
    """`scratch` is a directory in memory, for what must not come to a disk. `secret` knows the values of
    secrets, None for one that was not given; `agent` the paths of SSH agents' sockets on this machine. `now`,
    and `latest` for SOURCE_DATE_EPOCH, in Unix nanoseconds."""

    assembler: Assembler
    cache: BuildCache
    mounts: CacheMounts
    worker: Worker
    lease: Lease
    digests: FileDigests
    selections: Selections
    scratch: str
    contexts: Mapping[str, Context]
    secret: Callable[[str], bytes | None]
    agent: Callable[[str], str | None]
    now: int
    latest: int | None = None
    keep_failed: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)
    _running: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cancel(self) -> None:
        """What runs is killed, and nothing more begins. Thread-safe, idempotent."""
        self.cancelled.set()
        with self._lock:
            running = list(self._running)
        for identifier in running:
            self.worker.kill(identifier)

    def check(self) -> None:
        """Raises Cancelled."""
        if self.cancelled.is_set():
            raise Cancelled("context canceled")

    @contextmanager
    def running(self, identifier: str) -> Iterator[None]:
        """A step of the worker's, within. Raises Cancelled, also after it, if it was killed."""
        with self._lock:
            self._running.add(identifier)
        try:
            self.check()
            yield
            self.check()
        finally:
            with self._lock:
                self._running.discard(identifier)
