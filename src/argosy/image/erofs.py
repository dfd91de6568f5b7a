"""The snapshotter that unpacks nothing: a layer is the tar that it came as, with an EROFS index over it.

    snapshots/erofs/<hex of name>.erofs    the index; its first kilobyte is ours, see `_Layer`
                   /<hex of name>.merged   the same of this layer and the 15 below it, merged
    snapshots/active, trash                see `stacked`

The tars are the content store's blobs. Layers are mounted once, each by itself, whoever uses them, so
that containers of all images share what is in the page cache; an overlay of them is a container's root.
Of a deep stack, layers are mounted in blocks of sixteen, merged: each lower layer costs an overlay a few
microseconds when it is mounted and at every name that it does not have.

An index can be made again from its tar, so none is ever synced: what a power cut or a bad disk did to
one is found by its digest before it is mounted, and repaired. A tar that has been touched since its
index was made is read through before it is mounted again, and refused if it is damaged.
"""

import contextlib
import hashlib
import os
import stat
from typing import Protocol

import msgspec

from argosy.errors import ArgosyError
from argosy.image.content import ContentStore
from argosy.image.erofs_format import SUPERBLOCK_OFFSET
from argosy.image.erofs_read import IndexReader
from argosy.image.erofs_write import Index, ReadPart, write_index
from argosy.image.layer_settle import merge, number, settle
from argosy.image.layer_tree import Directory, measure, read_layer
from argosy.image.snapshot import Mount, Usage
from argosy.image.stacked import StackedSnapshotter, checked, missing, stands
from argosy.image.tar import Source, TarReader

# Headers lie close together, with the contents of small files between them.
_READ_AHEAD = 1 << 16
_BLOCK_OF_LAYERS = 16


class Damaged(ArgosyError):
    """What is on the disk is not what was put there."""


class _Seal(msgspec.Struct, frozen=True, array_like=True):
    """What stat(2) says of a file that nobody has touched."""

    size: int
    inode: int
    modified: int
    changed: int


class _Layer(msgspec.Struct, frozen=True):
    """The header of an index, JSON filled up with blanks. `digest` is of the `head` bytes after it.

    `size` and `inodes` count contents, `allocated` is what the index takes on the disk.
    """

    name: str
    parent: str | None
    blob: str
    size: int
    inodes: int
    root: tuple[int, int, int]
    seal: _Seal
    digest: str
    head: int
    allocated: int = 0


class Holder(Protocol):
    """Keeps layers mounted, or ready to be."""

    def lower(self, key: str, index: str, tars: list[str]) -> str | Mount:
        """The path of a layer for overlay, or a mount to be made for that. Idempotent in the key."""

    def release(self, key: str) -> None:
        """Idempotent. What is mounted elsewhere stays."""

    def close(self) -> None: ...


class ErofsSnapshotter(StackedSnapshotter[_Layer]):
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
            if not (len(chain) + 1) % _BLOCK_OF_LAYERS:
                self._merge([layer, *chain][:_BLOCK_OF_LAYERS])

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
            return layer.allocated if layer else 0

    def verify(self, name: str) -> None:
        """Read a layer's index through. Raises Damaged."""
        with self._lock:
            layer = self._committed.get(name)
        if layer is None:
            raise missing(name)
        for path in (self._path(name), self._merged_path(name)):
            if os.path.exists(path) and not _is_whole(path):
                raise Damaged(
                    f"the index of layer {layer.blob} is damaged: {path}",
                    hint="It is made again from the layer when it is needed.",
                )

    def sync(self) -> None:
        """Nothing to do: indexes can be lost."""

    def close(self) -> None:
        super().close()
        self._holder.close()

    # Indexes

    def _index(self, name: str, chain: list[_Layer], blob: str, tree: Directory, usage: Usage) -> _Layer:
        """Write the index of a layer that stands on `chain`."""
        settle(tree, [self._reader(layer) for layer in chain])
        with self._content.open(blob) as opened:
            status = os.fstat(opened.descriptor)
            index = write_index(tree, [status.st_size], _reading([opened.descriptor]))
        layer = _Layer(
            name=name,
            parent=chain[0].name if chain else None,
            blob=blob,
            size=usage.size,
            inodes=usage.inodes,
            root=(stat.S_IMODE(tree.mode), tree.uid, tree.gid),
            seal=_seal(status),
            digest="",
            head=0,
        )
        return self._write(self._path(name), layer, index)

    def _merge(self, layers: list[_Layer]) -> None:
        """Write the index of sixteen layers in one, uppermost first."""
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
            index = write_index(merged, sizes, _reading(descriptors))
        self._write(self._merged_path(layers[0].name), layers[0], index)

    def _tree(self, layer: _Layer) -> Directory:
        with self._content.open(layer.blob) as blob:
            return read_layer(TarReader(blob, _READ_AHEAD))

    def _write(self, path: str, layer: _Layer, index: Index) -> _Layer:
        body = memoryview(index.head)[SUPERBLOCK_OFFSET:]
        written = msgspec.structs.replace(
            layer,
            digest=hashlib.sha256(body).hexdigest(),
            head=len(body),
            allocated=len(index.head) + sum(len(data) for _, data in index.spilled),
        )
        temporary = f"{path}.{os.urandom(6).hex()}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_header(descriptor, written)
            _write_at(descriptor, body, SUPERBLOCK_OFFSET)
            for offset, data in index.spilled:
                _write_at(descriptor, memoryview(data), offset)
            os.ftruncate(descriptor, index.size)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(descriptor)
        return written

    def _reader(self, layer: _Layer) -> IndexReader:
        self._require_whole(layer)
        with open(self._path(layer.name), "rb") as file:
            data = file.read(SUPERBLOCK_OFFSET + layer.head)
        return IndexReader(lambda offset, length: data[offset : offset + length])

    # With the lock held

    def _lower(self, chain: list[_Layer]) -> tuple[list[Mount], list[str]]:
        first: list[Mount] = []
        names: list[str] = []
        position = 0
        while position < len(chain):
            layer = chain[position]
            depth = len(chain) - position
            step = 1 if depth % _BLOCK_OF_LAYERS else _BLOCK_OF_LAYERS
            layers = chain[position : position + step]
            held = self._held(layer, layers)
            if isinstance(held, Mount):
                names.append(f"%{len(first)}")
                first.append(held)
            else:
                names.append(held)
            position += step
        return first, names

    def _held(self, layer: _Layer, layers: list[_Layer]) -> str | Mount:
        path = self._path(layer.name) if len(layers) == 1 else self._merged_path(layer.name)
        key = os.path.basename(path)
        if key not in self._trusted:
            for each in layers:
                self._require_untouched(each)
            if len(layers) == 1:
                self._require_whole(layer)
            elif not _is_whole(path):
                self._merge(layers)
            self._trusted.add(key)
        return self._holder.lower(key, path, [self._content.path(each.blob) for each in reversed(layers)])

    def _require_whole(self, layer: _Layer) -> None:
        """The index is what was written, or is made again."""
        key = os.path.basename(self._path(layer.name))
        if key in self._trusted or _is_whole(self._path(layer.name)):
            return
        self._require_untouched(layer)
        tree = self._tree(layer)
        usage = Usage(*measure(tree))
        self._committed[layer.name] = self._index(
            layer.name, self._chain(layer.parent), layer.blob, tree, usage
        )

    def _require_untouched(self, layer: _Layer) -> None:
        """The layer's tar is what it was. Raises Damaged, and sets what is left of it aside."""
        path = self._content.path(layer.blob)
        try:
            seal = _seal(os.stat(path))
        except FileNotFoundError:
            raise self._damaged(layer, "is gone") from None
        if seal == layer.seal:
            return
        if not self._content.verify(layer.blob):
            self._content.delete(layer.blob)
            raise self._damaged(layer, "is damaged on the disk")
        sealed = msgspec.structs.replace(layer, seal=seal)
        descriptor = os.open(self._path(layer.name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_header(descriptor, sealed)
        finally:
            os.close(descriptor)
        self._committed[layer.name] = sealed

    def _damaged(self, layer: _Layer, what: str) -> Damaged:
        return Damaged(
            f"the content of layer {layer.blob} {what}",
            hint="Pull or load the image again to bring it back. To look at the rest: argosy system check",
        )

    def _forget_committed(self, committed: _Layer) -> None:
        for path in (self._path(committed.name), self._merged_path(committed.name)):
            key = os.path.basename(path)
            self._holder.release(key)
            self._trusted.discard(key)
            if os.path.exists(path):
                os.unlink(path)

    def _forget_staged(self, key: str) -> None:
        del self._trees[key]

    def _path(self, name: str) -> str:
        return os.path.join(self._indexes, checked(name.removeprefix("sha256:")) + ".erofs")

    def _merged_path(self, name: str) -> str:
        return os.path.join(self._indexes, checked(name.removeprefix("sha256:")) + ".merged")

    # The start

    def _load(self) -> None:
        found: dict[str, _Layer] = {}
        for name in os.listdir(self._indexes):
            path = os.path.join(self._indexes, name)
            if name.endswith(".merged"):
                continue
            layer = _read_header(path)
            if layer is not None and path == self._path(layer.name):
                found[layer.name] = layer
            else:
                os.unlink(path)
        for layer in found.values():
            if stands(layer, found):
                self._committed[layer.name] = layer
            else:
                os.unlink(self._path(layer.name))
        merged = {self._merged_path(name) for name in self._committed}
        for name in os.listdir(self._indexes):
            path = os.path.join(self._indexes, name)
            if name.endswith(".merged") and path not in merged:
                os.unlink(path)
        self._load_active()


def _reading(descriptors: list[int]) -> ReadPart:
    return lambda layer, offset, length: os.pread(descriptors[layer], length, offset)


def _seal(status: os.stat_result) -> _Seal:
    return _Seal(status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


def _write_header(descriptor: int, layer: _Layer) -> None:
    header = msgspec.json.encode(layer)
    if len(header) > SUPERBLOCK_OFFSET:
        raise ArgosyError(f"the name of snapshot {layer.name} is too long")
    _write_at(descriptor, memoryview(header.ljust(SUPERBLOCK_OFFSET)), 0)


def _write_at(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _read_header(path: str) -> _Layer | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(SUPERBLOCK_OFFSET).rstrip(), type=_Layer)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_whole(path: str) -> bool:
    layer = _read_header(path)
    if layer is None:
        return False
    with open(path, "rb") as file:
        file.seek(SUPERBLOCK_OFFSET)
        return hashlib.sha256(file.read(layer.head)).hexdigest() == layer.digest
