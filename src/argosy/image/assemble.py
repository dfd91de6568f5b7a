"""Images made layer by layer, as a build makes them: each layer a tar of its own on what is below.

Everything that is named here is kept by the caller's lease until an image, or somebody's roots, keep it.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from argosy.image import digest as digests
from argosy.image.content import ContentStore
from argosy.image.create import Registrar
from argosy.image.layers import Layers
from argosy.image.leases import Lease
from argosy.image.record import ImageRecord
from argosy.image.reference import Reference
from argosy.image.rootview import RootView, RootViews
from argosy.image.snapshot import Snapshotter

Write = Callable[[bytes], object]


class Assembler:
    """Thread-safe."""

    def __init__(
        self,
        content: ContentStore,
        layers: Layers,
        snapshotter: Snapshotter,
        registrar: Registrar,
        scratch: str,
    ) -> None:
        self._content = content
        self._layers = layers
        self._snapshotter = snapshotter
        self._registrar = registrar
        self._views = RootViews(snapshotter, scratch)

    def close(self) -> None:
        self._views.close()

    def has(self, diff_ids: Sequence[str], lease: Lease) -> bool:
        """Whether all of these layers are here; from now on they stay."""
        lease.keep(*diff_ids, *digests.chain_ids(list(diff_ids)))
        return all(self._content.exists(diff_id) for diff_id in diff_ids)

    def lay(self, diff_ids: Sequence[str], lease: Lease) -> str | None:
        """The chain ID of these layers, ready to stand on. Raises NotFound."""
        return self._layers.lay(list(diff_ids), [], lease)

    def size(self, diff_id: str) -> int:
        return self._content.size(diff_id)

    def layer(self, write: Callable[[Write], object], lease: Lease) -> str:
        """Store the tar that `write` writes. Returns its diff ID."""
        with self._content.ingest() as ingest:
            write(ingest.write)
            lease.keep(ingest.digest)
            return ingest.commit()

    def difference(
        self, key: str, lease: Lease, left_out: Collection[bytes] = (), latest: int | None = None
    ) -> str:
        """The layer that an active snapshot adds to its parent. For the rest see `Snapshotter.diff`."""
        return self.layer(lambda write: self._snapshotter.diff(key, write, left_out, latest), lease)

    def view(self, diff_ids: Sequence[str], lease: Lease) -> RootView:
        """The root file system of these layers. Close it."""
        return self._views.open(self.lay(diff_ids, lease))

    @contextmanager
    def active(self, key: str, diff_ids: Sequence[str], lease: Lease) -> Iterator[str]:
        """A snapshot to write to on these layers, for the length of a `with`. Yields its key."""
        lease.keep(key)
        self._snapshotter.prepare(key, self.lay(diff_ids, lease))
        try:
            yield key
        finally:
            self._snapshotter.remove(key)

    def register(
        self, configuration: bytes, lease: Lease, references: Sequence[Reference] = (), parent: str = ""
    ) -> ImageRecord:
        """The image whose configuration this is, its layers being here. Idempotent."""
        return self._registrar.register(configuration, [], lease, references=references, parent=parent)
