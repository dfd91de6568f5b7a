"""The collector: what no image, no lease and no container needs is deleted.

Mark: the documents and layers of every image, what leases hold, what the callers' own roots name (a
build cache, say), and every committed snapshot that something stands on, together with its layer's
content, so that a container can still be committed when its image is gone. Sweep: snapshots from the
top down, then blobs. Both happen while leases are held back, so nothing found by a lease's holder goes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from argosy.errors import Conflict
from argosy.image import digest as digests
from argosy.image.catalog import Catalog
from argosy.image.content import ContentStore
from argosy.image.leases import Leases
from argosy.image.snapshot import Snapshotter

# Digests of content and names of snapshots.
Roots = Callable[[], Iterable[str]]


@dataclass(slots=True)
class Collected:
    chains: set[str] = field(default_factory=set)
    snapshot_bytes: int = 0
    content_bytes: int = 0


class Collector:
    def __init__(
        self, catalog: Catalog, content: ContentStore, snapshotter: Snapshotter, leases: Leases
    ) -> None:
        self._catalog = catalog
        self._content = content
        self._snapshotter = snapshotter
        self._leases = leases
        self._roots: list[Roots] = []

    def add_roots(self, roots: Roots) -> None:
        self._roots.append(roots)

    def collect(self) -> Collected:
        collected = Collected()
        with self._leases.sweeping():
            wanted = self._mark()
            self._sweep_snapshots(wanted, collected)
            gone = [blob for blob in self._content.walk() if blob not in wanted]
            for blob in gone:
                collected.content_bytes += self._content.delete(blob)
            self._catalog.forget_chains(collected.chains, gone)
        return collected

    def _mark(self) -> set[str]:
        wanted = self._leases.kept()
        for roots in self._roots:
            wanted.update(roots())
        for record in self._catalog.all():
            wanted.add(record.id)
            wanted.update(record.diff_ids)
            wanted.update(digests.chain_ids(record.diff_ids))
        return wanted

    def _sweep_snapshots(self, wanted: set[str], collected: Collected) -> None:
        """Marks, on the way, the content of the snapshots that stay."""
        remaining = {info.id: info.parent for info in self._snapshotter.walk() if info.committed}
        progress = True
        while progress:
            progress = False
            parents = set(remaining.values())
            for name in [name for name in remaining if name not in wanted and name not in parents]:
                size = self._snapshotter.allocated(name)
                try:
                    self._snapshotter.remove(name)
                except Conflict:
                    # A container stands on it. Its own parents stay too.
                    wanted.add(name)
                    continue
                del remaining[name]
                collected.chains.add(name)
                collected.snapshot_bytes += size
                progress = True
        for name in remaining:
            diff_id = self._catalog.diff_id_of(name)
            if diff_id is not None:
                wanted.add(diff_id)
