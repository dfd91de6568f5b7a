"""Leases: content and snapshots that somebody is at work with, kept from the collector.

A lease lives in memory and ends with its `with` block or with the process: whatever a dead process was
fetching is garbage. The order is what makes it safe: first `keep`, then look whether the content is
there. `keep` waits while the collector sweeps, so what it finds afterwards stays.
"""

import threading
from contextlib import AbstractContextManager


class Lease:
    """Digests of content and names and keys of snapshots, in one set: they cannot be confused."""

    def __init__(self, leases: "Leases") -> None:
        self._leases = leases
        self.kept: set[str] = set()

    def keep(self, *names: str) -> None:
        with self._leases.lock:
            self.kept.update(names)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self._leases.release(self)


class Leases:
    """Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._active: set[Lease] = set()

    def take(self) -> Lease:
        lease = Lease(self)
        with self.lock:
            self._active.add(lease)
        return lease

    def release(self, lease: Lease) -> None:
        with self.lock:
            self._active.discard(lease)

    def sweeping(self) -> AbstractContextManager[object]:
        """Hold every `keep` back."""
        return self.lock

    def kept(self) -> set[str]:
        with self.lock:
            return set().union(*(lease.kept for lease in self._active))
