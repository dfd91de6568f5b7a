"""Looking into an EROFS index that `erofs_write` wrote: what a layer says about a directory."""

import stat
from collections.abc import Callable

from argosy.image import erofs_format as erofs
from argosy.image import whiteout
from argosy.image.erofs_format import BLOCK, BLOCK_BITS
from argosy.image.layer_tree import Directory, Node

_OPAQUE = whiteout.TRUSTED_OPAQUE.encode()
_PREFIXES = {index: prefix for prefix, index in erofs.XATTR_PREFIXES}


class IndexReader:
    """`read(offset, length)` is of the index, whose checksum was right."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._root = erofs.SUPERBLOCK.unpack(read(erofs.SUPERBLOCK_OFFSET, erofs.SUPERBLOCK.size))[5]

    def find(self, path: bytes) -> tuple[Node | None, bool]:
        """The attributes of what is at `path`, following nothing, and whether it hides the layers below.

        They are hidden by anything on the way that is no directory, and by opaque directories. A
        directory is returned without its children.
        """
        node = self._node(self._root)
        hidden = isinstance(node, Directory) and node.opaque
        for name in path.split(b"/") if path else ():
            if not isinstance(node, Directory):
                return None, True
            nid = self._entries(node.nid).get(name)
            if nid is None:
                return None, hidden
            node = self._node(nid)
            hidden = hidden or not isinstance(node, Directory) or node.opaque
        return node, hidden

    def _inode(self, nid: int) -> tuple[int, ...]:
        return erofs.INODE.unpack(self._read(nid << erofs.NID_BITS, erofs.INODE.size))

    def _entries(self, nid: int) -> dict[bytes, int]:
        data = self._names(nid)
        entries: dict[bytes, int] = {}
        for start in range(0, len(data), BLOCK):
            block = data[start : start + BLOCK]
            count = erofs.DIRENT.unpack_from(block)[1] // erofs.DIRENT.size
            found = [erofs.DIRENT.unpack_from(block, number * erofs.DIRENT.size) for number in range(count)]
            ends = [entry[1] for entry in found[1:]] + [len(block)]
            for (child, offset, _), end in zip(found, ends, strict=True):
                entries[block[offset:end].rstrip(b"\0")] = child
        return entries

    def _names(self, nid: int) -> bytes:
        form, count, _, _, size, block, *_ = self._inode(nid)
        if form >> 1 == erofs.FLAT_INLINE:
            return self._read((nid << erofs.NID_BITS) + erofs.INODE.size + _xattr_size(count), size)
        return self._read(block << BLOCK_BITS, size)

    def _node(self, nid: int) -> Node:
        _, count, mode, _, _, _, _, uid, gid, seconds, nanoseconds, _ = self._inode(nid)
        mtime = seconds * 1_000_000_000 + nanoseconds
        node = Directory(mode, uid, gid, mtime) if stat.S_ISDIR(mode) else Node(mode, uid, gid, mtime)
        node.nid = nid
        if count:
            attributes = self._xattrs(nid, count)
            opaque = attributes.pop(_OPAQUE, None)
            node.xattrs = attributes or None
            if isinstance(node, Directory):
                node.opaque = opaque == b"y"
        return node

    def _xattrs(self, nid: int, count: int) -> dict[bytes, bytes]:
        size = _xattr_size(count)
        data = self._read((nid << erofs.NID_BITS) + erofs.INODE.size, size)
        position = erofs.XATTR_HEADER.size
        found: dict[bytes, bytes] = {}
        while position < size:
            length, index, value_size = erofs.XATTR_ENTRY.unpack_from(data, position)
            position += erofs.XATTR_ENTRY.size
            name = _PREFIXES[index] + data[position : position + length]
            position += length
            found[name] = data[position : position + value_size]
            position += value_size
            position += -position % 4
        return found


def _xattr_size(count: int) -> int:
    return (count - 1) * 4 + erofs.XATTR_HEADER.size if count else 0
