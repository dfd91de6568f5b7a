"""The file of an index: a header of ours in the kilobyte before EROFS' superblock, then what is mounted."""

import hashlib
import os

import msgspec

from argosy.errors import ArgosyError
from argosy.image.erofs_format import SUPERBLOCK_OFFSET
from argosy.image.erofs_write import Index


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """What stat(2) says of a file that nobody has touched."""

    size: int
    inode: int
    modified: int
    changed: int


class Layer(msgspec.Struct, frozen=True):
    """The header of an index, JSON filled up with blanks. `digest` is of the `head` bytes after it.

    `size` and `inodes` count contents, `allocated` is what the index takes on the disk. `merged` layers
    are in it, of which this one is the uppermost.
    """

    name: str
    parent: str | None
    blob: str
    size: int
    inodes: int
    root: tuple[int, int, int]
    seal: Seal
    digest: str
    head: int
    allocated: int = 0
    merged: int = 1


def seal(status: os.stat_result) -> Seal:
    return Seal(status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


def write(path: str, layer: Layer, index: Index) -> Layer:
    """Write it whole or not at all. The header as it was written."""
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


def rewrite_header(path: str, layer: Layer) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write_header(descriptor, layer)
    finally:
        os.close(descriptor)


def read_header(path: str) -> Layer | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(SUPERBLOCK_OFFSET).rstrip(), type=Layer)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def is_whole(path: str, merged: int = 1) -> bool:
    """Whether it is what was written, of so many layers."""
    layer = read_header(path)
    if layer is None or layer.merged != merged:
        return False
    with open(path, "rb") as file:
        file.seek(SUPERBLOCK_OFFSET)
        return hashlib.sha256(file.read(layer.head)).hexdigest() == layer.digest


def _write_header(descriptor: int, layer: Layer) -> None:
    header = msgspec.json.encode(layer)
    if len(header) > SUPERBLOCK_OFFSET:
        raise ArgosyError(f"the name of snapshot {layer.name} is too long")
    _write_at(descriptor, memoryview(header.ljust(SUPERBLOCK_OFFSET)), 0)


def _write_at(descriptor: int, view: memoryview, offset: int) -> None:
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written
