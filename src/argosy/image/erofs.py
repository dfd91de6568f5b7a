"""The snapshotter that unpacks nothing: a layer is the tar that it came as, with an EROFS index over it.

    snapshots/erofs/<hex of name>.erofs    the index; its first kilobyte is ours, see `erofs_index`
                   /<hex of name>.merged   the same of this layer and some below it, merged
    snapshots/active, trash                see `stacked`

The tars are the content store's blobs. Layers are mounted once, each by itself, whoever uses them, so
that containers of all images share what is in the page cache; an overlay of them is a container's root.
Of a deep stack, layers are mounted in blocks of sixteen and of 64, merged, and so are those above the last
block once a container was made of them: each lower layer costs an overlay time when it is mounted and at
every name that it does not have. Stacks of fewer layers stay as they are, for what they share is worth more.

An index can be made again from its tar, so none is ever synced: what a power cut or a bad disk did to
one is found by its digest before it is mounted, and repaired. A tar that has been touched since its
index was made is read through before it is mounted again, and refused if it is damaged.
"""

import contextlib
import logging
import os
import stat
import threading
from typing import Protocol

import msgspec

from argosy.errors import ArgosyError
from argosy.image.content import ContentStore
from argosy.image.erofs_format import SUPERBLOCK_OFFSET
from argosy.image.erofs_index import Layer, is_whole, read_header, rewrite_header, seal, write
from argosy.image.erofs_read import IndexReader
from argosy.image.erofs_write import Index, ReadPart, write_index
from argosy.image.layer_settle import merge, number, settle
from argosy.image.layer_tree import Directory, measure, read_layer
from argosy.image.snapshot import Mount, Usage
from argosy.image.stacked import StackedSnapshotter, checked, missing, stands
from argosy.image.tar import Source, TarReader

# Headers lie close together, with the contents of small files between them.
_READ_AHEAD = 1 << 16
_BLOCK = 16
_LARGE_BLOCK = 64

log = logging.getLogger("argosy.image")


class Damaged(ArgosyError):
    """What is on the disk is not what was put there."""


class Holder(Protocol):
    """Keeps layers mounted, or ready to be."""

    def lower(self, key: str, index: str, tars: list[str]) -> str | Mount:
        """The path of a layer for overlay, or a mount to be made for that. Idempotent in the key."""

    def release(self, key: str) -> None:
        """Idempotent. What is mounted elsewhere stays."""

    def close(self) -> None: ...


class ErofsSnapshotter(StackedSnapshotter[Layer]):
    """See `snapshot.Snapshotter`."""

    driver = "erofs"

    def __init__(self, root: str, content: ContentStore, holder: Holder) -> None:
        base = os.path.join(root, "snapshots")
        super().__init__(base)
        self._content = content
        self._holder = holder
        self._indexes = os.path.join(base, "erofs")
        os.makedirs(self._indexes, mode=0o700, exist_ok=True)
        self._trees: dict[str, Directory] = {}
        # Keys of the holder whose index and tars were found whole by this process.
        self._trusted: set[str] = set()
        # What the merged indexes take on the disk, by the name of their uppermost layer.
        self._merged: dict[str, int] = {}
        self._compacting: dict[str, threading.Thread] = {}
        self._load()

    def stage(self, key: str, layer: Source) -> Usage:
        with self._lock:
            self._require_free(checked(key))
        tree = read_layer(TarReader(layer, _READ_AHEAD))
        usage = Usage(*measure(tree))
        with self._lock:
            self._require_free(key)
            self._staged[key] = usage
            self._trees[key] = tree
        return usage

    def commit(self, name: str, key: str, parent: str | None, blob: str) -> None:
        with self._lock:
            tree = self._trees.get(key)
            if tree is None:
                raise missing(key)
            usage = self._staged[key]
            if name in self._committed:
                self.remove(key)
                return
            chain = self._chain(parent)
        layer = self._index(name, chain, blob, tree, usage)
        with self._lock:
            self._require_parent(parent)
            self._committed[name] = layer
            self._staged.pop(key, None)
            self._trees.pop(key, None)
            span = _span(len(chain) + 1)
            if span > 1:
                self._merge([layer, *chain][:span])

    def compact(self, name: str) -> None:
        with self._lock:
            chain = self._chain(name)
            loose = len(chain) % _BLOCK
            if len(chain) < _BLOCK or loose < 2 or name in self._merged or name in self._compacting:
                return
            thread = threading.Thread(
                target=self._compact, args=(chain[:loose],), name="compact", daemon=True
            )
            self._compacting[name] = thread
            thread.start()

    def describe(self, key_or_name: str) -> dict[str, str]:
        with self._lock:
            if key_or_name in self._committed:
                layer = self._committed[key_or_name]
                return {"Index": self._path(layer.name), "Layer": self._content.path(layer.blob)}
            if key_or_name not in self._active:
                raise missing(key_or_name)
            chain = self._chain(self._active[key_or_name].parent)
        lower = [self._path(layer.name) for layer in chain]
        data = self._describe_active(key_or_name)
        return {"LowerDir": ":".join(lower), **data} if lower else data

    def allocated(self, name: str) -> int:
        with self._lock:
            layer = self._committed.get(name)
            return layer.allocated + self._merged.get(name, 0) if layer else 0

    def verify(self, name: str) -> None:
        """Read a layer's index through. Raises Damaged."""
        with self._lock:
            layer = self._committed.get(name)
            if layer is None:
                raise missing(name)
            merged = self._merged_layers(name)
        for path, layers in ((self._path(name), 1), (self._merged_path(name), merged)):
            if os.path.exists(path) and not is_whole(path, layers):
                raise Damaged(
                    f"the index of layer {layer.blob} is damaged: {path}",
                    hint="It is made again from the layer when it is needed.",
                )

    def sync(self) -> None:
        """Nothing to do: indexes can be lost."""

    def close(self) -> None:
        super().close()
        for thread in list(self._compacting.values()):
            thread.join()
        self._holder.close()

    # Indexes

    def _index(self, name: str, chain: list[Layer], blob: str, tree: Directory, usage: Usage) -> Layer:
        """Write the index of a layer that stands on `chain`."""
        settle(tree, [self._reader(layer) for layer in chain])
        with self._content.open(blob) as opened:
            status = os.fstat(opened.descriptor)
            index = write_index(tree, [status.st_size], _reading([opened.descriptor]))
        layer = Layer(
            name=name,
            parent=chain[0].name if chain else None,
            blob=blob,
            size=usage.size,
            inodes=usage.inodes,
            root=(stat.S_IMODE(tree.mode), tree.uid, tree.gid),
            seal=seal(status),
            digest="",
            head=0,
        )
        return write(self._path(name), layer, index)

    def _compact(self, layers: list[Layer]) -> None:
        name = layers[0].name
        try:
            index = self._merged_index(layers)
            with self._lock:
                if name in self._committed:
                    self._write_merged(layers, index)
        except (ArgosyError, OSError) as error:
            log.warning("the layers of snapshot %s stay apart: %s", name, error)
        finally:
            with self._lock:
                del self._compacting[name]

    def _merge(self, layers: list[Layer]) -> None:
        self._write_merged(layers, self._merged_index(layers))

    def _write_merged(self, layers: list[Layer], index: Index) -> None:
        header = msgspec.structs.replace(layers[0], merged=len(layers))
        self._merged[header.name] = write(self._merged_path(header.name), header, index).allocated

    def _merged_index(self, layers: list[Layer]) -> Index:
        """Of several layers in one, uppermost first."""
        merged: Directory | None = None
        for position, layer in enumerate(reversed(layers)):
            tree = self._tree(layer)
            number(tree, position)
            if merged is None:
                merged = tree
            else:
                merge(merged, tree)
        assert merged is not None
        bottom = self._chain(layers[-1].parent)
        settle(merged, [self._reader(layer) for layer in bottom])
        with contextlib.ExitStack() as stack:
            blobs = [stack.enter_context(self._content.open(layer.blob)) for layer in reversed(layers)]
            descriptors = [blob.descriptor for blob in blobs]
            sizes = [os.fstat(descriptor).st_size for descriptor in descriptors]
            return write_index(merged, sizes, _reading(descriptors))

    def _tree(self, layer: Layer) -> Directory:
        with self._content.open(layer.blob) as blob:
            return read_layer(TarReader(blob, _READ_AHEAD))

    def _reader(self, layer: Layer) -> IndexReader:
        self._require_whole(layer)
        with open(self._path(layer.name), "rb") as file:
            data = file.read(SUPERBLOCK_OFFSET + layer.head)
        return IndexReader(lambda offset, length: data[offset : offset + length])

    # With the lock held

    def _lower(self, chain: list[Layer]) -> tuple[list[Mount], list[str]]:
        first: list[Mount] = []
        names: list[str] = []
        position = 0
        while position < len(chain):
            step = _span(len(chain) - position)
            if position == 0 and step == 1:
                step = self._loose(chain)
            held = self._held(chain[position : position + step])
            if isinstance(held, Mount):
                names.append(f"%{len(first)}")
                first.append(held)
            else:
                names.append(held)
            position += step
        return first, names

    def _loose(self, chain: list[Layer]) -> int:
        """How many layers, from the uppermost down, are merged without being a block."""
        name = chain[0].name
        if name not in self._merged:
            return 1
        count = len(chain) % _BLOCK
        path = self._merged_path(name)
        if os.path.basename(path) in self._trusted or is_whole(path, count):
            return count
        del self._merged[name]
        return 1

    def _held(self, layers: list[Layer]) -> str | Mount:
        layer = layers[0]
        path = self._path(layer.name) if len(layers) == 1 else self._merged_path(layer.name)
        key = os.path.basename(path)
        if key not in self._trusted:
            for each in layers:
                self._require_untouched(each)
            if len(layers) == 1:
                self._require_whole(layer)
            elif not is_whole(path, len(layers)):
                self._merge(layers)
            self._trusted.add(key)
        return self._holder.lower(key, path, [self._content.path(each.blob) for each in reversed(layers)])

    def _require_whole(self, layer: Layer) -> None:
        """The index is what was written, or is made again."""
        key = os.path.basename(self._path(layer.name))
        if key in self._trusted or is_whole(self._path(layer.name)):
            return
        self._require_untouched(layer)
        tree = self._tree(layer)
        usage = Usage(*measure(tree))
        self._committed[layer.name] = self._index(
            layer.name, self._chain(layer.parent), layer.blob, tree, usage
        )

    def _require_untouched(self, layer: Layer) -> None:
        """The layer's tar is what it was. Raises Damaged, and sets what is left of it aside."""
        path = self._content.path(layer.blob)
        try:
            found = seal(os.stat(path))
        except FileNotFoundError:
            raise self._damaged(layer, "is gone") from None
        if found == layer.seal:
            return
        if not self._content.verify(layer.blob):
            self._content.delete(layer.blob)
            raise self._damaged(layer, "is damaged on the disk")
        sealed = msgspec.structs.replace(layer, seal=found)
        rewrite_header(self._path(layer.name), sealed)
        self._committed[layer.name] = sealed

    def _damaged(self, layer: Layer, what: str) -> Damaged:
        return Damaged(
            f"the content of layer {layer.blob} {what}",
            hint="Pull or load the image again to bring it back. To look at the rest: argosy system check",
        )

    def _forget_committed(self, committed: Layer) -> None:
        for path in (self._path(committed.name), self._merged_path(committed.name)):
            key = os.path.basename(path)
            self._holder.release(key)
            self._trusted.discard(key)
            if os.path.exists(path):
                os.unlink(path)
        self._merged.pop(committed.name, None)

    def _forget_staged(self, key: str) -> None:
        del self._trees[key]

    def _path(self, name: str) -> str:
        return os.path.join(self._indexes, checked(name.removeprefix("sha256:")) + ".erofs")

    def _merged_path(self, name: str) -> str:
        return os.path.join(self._indexes, checked(name.removeprefix("sha256:")) + ".merged")

    # The start

    def _load(self) -> None:
        found: dict[str, Layer] = {}
        for name in os.listdir(self._indexes):
            path = os.path.join(self._indexes, name)
            if name.endswith(".merged"):
                continue
            layer = read_header(path)
            if layer is not None and path == self._path(layer.name):
                found[layer.name] = layer
            else:
                os.unlink(path)
        for layer in found.values():
            if stands(layer, found):
                self._committed[layer.name] = layer
            else:
                os.unlink(self._path(layer.name))
        for name in os.listdir(self._indexes):
            if not name.endswith(".merged"):
                continue
            path = os.path.join(self._indexes, name)
            layer = read_header(path)
            if layer is not None and layer.name in self._committed and path == self._merged_path(layer.name):
                self._merged[layer.name] = layer.allocated
            else:
                os.unlink(path)
        self._load_active()

    def _merged_layers(self, name: str) -> int:
        """How many layers the merged index of this one is of, if there is one."""
        depth = len(self._chain(name))
        span = _span(depth)
        return span if span > 1 else depth % _BLOCK


def _span(depth: int) -> int:
    """How many layers are mounted as one from this depth down."""
    if depth % _LARGE_BLOCK == 0:
        return _LARGE_BLOCK
    return 1 if depth % _BLOCK else _BLOCK


def _reading(descriptors: list[int]) -> ReadPart:
    return lambda layer, offset, length: os.pread(descriptors[layer], length, offset)
