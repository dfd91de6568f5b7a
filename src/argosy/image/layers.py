"""Layers on their way in: a stream becomes a blob, and a snapshot beside it.

The stream is read once, in the caller's thread: hashed as it came, inflated, hashed again, written. A
second thread follows the growing file and stages the layer in the snapshotter, so that unpacking goes
on during the transfer. Nothing counts until both digests are right; `lay` then puts the staged layers
on one another.

Layers are kept uncompressed, under their diff ID: `save` gives back the bytes that came, and a snapshot
that is lost can be staged again.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from argosy.errors import ArgosyError, NotFound
from argosy.image import digest as digests
from argosy.image.catalog import Catalog
from argosy.image.content import CHUNK_SIZE, ContentStore, DigestMismatch, Follower
from argosy.image.decompress import Hashed, decompressed, sniff
from argosy.image.leases import Lease
from argosy.image.snapshot import Snapshotter, Usage
from argosy.image.tar import Source

# More than can be busy: one that follows a stalled transfer must not hold the others up.
_STAGERS = 16


@dataclass(slots=True)
class ReceivedLayer:
    """`digest` and `size` are of the stream as it came. `key` is staged when `staging` is done."""

    diff_id: str
    digest: str
    size: int
    compression: str
    key: str = ""
    staging: Future[Usage] | None = None


class Layers:
    """Thread-safe."""

    def __init__(self, content: ContentStore, snapshotter: Snapshotter, catalog: Catalog) -> None:
        self._content = content
        self._snapshotter = snapshotter
        self._catalog = catalog
        self._stagers = ThreadPoolExecutor(_STAGERS, thread_name_prefix="stage")

    def close(self) -> None:
        self._stagers.shutdown()

    def receive(
        self, source: Source, lease: Lease, *, expected: str = "", diff_id: str = "", stage: bool = True
    ) -> ReceivedLayer:
        """Store the layer that `source` holds, compressed or not. `expected` is the digest of the stream.

        Raises DigestMismatch, InvalidParameter for damage, and whatever reading raises; then nothing of
        the layer remains.
        """
        if diff_id:
            lease.keep(diff_id)
        compression, whole = sniff(source)
        # What is not compressed is hashed once: its digest is the diff ID.
        raw = Hashed(whole) if compression else None
        plain = decompressed(compression, raw) if raw else whole
        key = f"layer-{os.urandom(12).hex()}" if stage else ""
        staging: Future[Usage] | None = None
        try:
            with self._content.ingest() as ingest:
                if stage:
                    staging = self._stagers.submit(self._stage, key, ingest.follow())
                while data := plain.read(CHUNK_SIZE):
                    ingest.write(data)
                while raw and raw.read(CHUNK_SIZE):
                    pass
                digest, size = (raw.digest, raw.size) if raw else (ingest.digest, ingest.size)
                if expected and digest != expected:
                    raise DigestMismatch(f"unexpected digest: got {digest}, expected {expected}")
                lease.keep(ingest.digest)
                found = ingest.commit(diff_id)
        except BaseException:
            self._abandon(key, staging)
            raise
        finally:
            if raw is not None:
                raw.close()
        return ReceivedLayer(found, digest, size, compression, key, staging)

    def lay(self, diff_ids: list[str], received: list[ReceivedLayer], lease: Lease) -> str | None:
        """Make the snapshots of a stack of layers, from what was received or else from the blobs.

        Returns the chain ID. Raises NotFound if a layer's content is not here.
        """
        parent: str | None = None
        for chain, diff_id in zip(digests.chain_ids(diff_ids), diff_ids, strict=True):
            self.lay_one(chain, parent, diff_id, received, lease)
            parent = chain
        return parent

    def lay_one(
        self, chain: str, parent: str | None, diff_id: str, received: list[ReceivedLayer], lease: Lease
    ) -> None:
        lease.keep(chain, diff_id)
        if self._snapshotter.exists(chain):
            return
        self._catalog.add_chain(chain, diff_id)
        layer = next((layer for layer in received if layer.diff_id == diff_id and layer.key), None)
        if layer is not None:
            self.wait(layer)
            key, layer.key = layer.key, ""
        else:
            key = f"layer-{os.urandom(12).hex()}"
            with self._content.open(diff_id) as blob:
                self._snapshotter.stage(key, blob)
        self._snapshotter.commit(chain, key, parent, diff_id)

    def allocated(self, chain: str, diff_id: str) -> int:
        """The bytes that a layer takes on the disk: its tar, and the snapshot made of it."""
        try:
            return self._content.size(diff_id) + self._snapshotter.allocated(chain)
        except NotFound:
            return self._snapshotter.allocated(chain)

    def size(self, diff_ids: list[str]) -> int:
        """The bytes that a stack of layers takes on the disk."""
        chains = digests.chain_ids(diff_ids)
        return sum(self.allocated(chain, diff_id) for chain, diff_id in zip(chains, diff_ids, strict=True))

    def wait(self, layer: ReceivedLayer) -> None:
        """Until the layer is staged. Raises what staging raised."""
        if layer.staging is not None:
            layer.staging.result()

    def forget(self, received: list[ReceivedLayer]) -> None:
        """Remove what was staged and not laid."""
        for layer in received:
            if layer.key:
                self._abandon(layer.key, layer.staging)
                layer.key = ""

    def _stage(self, key: str, follower: Follower) -> Usage:
        with follower:
            return self._snapshotter.stage(key, follower)

    def _abandon(self, key: str, staging: Future[Usage] | None) -> None:
        if staging is None:
            return
        try:
            staging.result()
        except (ArgosyError, OSError):
            # The transfer's own failure is what the caller hears of.
            return
        self._snapshotter.remove(key)
