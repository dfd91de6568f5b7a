"""A tree of layers written as an EROFS index: metadata only, contents staying in the layers' tars.

    0      the caller's header
    1024   superblock, and a slot for each tar
           inodes, each with its attributes and, if it fits into the block, its names or link target;
           the root first
           the rest of the directories and links
           parts of sparse files whose place in the tar is not on a block's boundary

The tars are devices that follow the index in one address space (`uniaddr`), so that a file needs no
more than its first block's address. Places are assigned first, then everything is written.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from argosy.errors import InvalidParameter
from argosy.image import erofs_format as erofs
from argosy.image import whiteout
from argosy.image.erofs_format import BLOCK, BLOCK_BITS
from argosy.image.layer_tree import Directory, Node

_INODE_SIZE = erofs.INODE.size
_DIRENT_SIZE = erofs.DIRENT.size
_MAX_BLOCKS = 0xFFFFFFFF
_CHUNKS_PER_FILE = 1 << 16
_CHUNKS = 1 << 22
_LARGEST_CHUNK_BITS = 31
_OPAQUE = whiteout.TRUSTED_OPAQUE.encode()

# (layer, offset in its tar, length) → the bytes.
ReadPart = Callable[[int, int, int], bytes]
# (offset in the index, the bytes).
Spill = list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Index:
    """`head` is the index up to where `spilled` parts of sparse files begin; `size` is its whole length."""

    head: bytearray
    spilled: Spill
    size: int


@dataclass(slots=True)
class _Placed:
    """`data` is None for a regular file, whose contents are elsewhere. `tail` is where they are inline."""

    node: Node
    xattrs: bytes
    parent: int = 0
    names: list[list[bytes]] = field(default_factory=list)
    size: int = 0
    inline: bool = False
    # Of what is not inline, in blocks.
    block: int = 0


def write_index(root: Directory, tar_sizes: Sequence[int], read_part: ReadPart) -> Index:
    """The index of `root` over tars of these lengths in bytes. Changes `nid` and `nlink` of its nodes.

    Raises InvalidParameter for what EROFS cannot hold.
    """
    return _Writer(tar_sizes, read_part).write(root)


class _Writer:
    def __init__(self, tar_sizes: Sequence[int], read_part: ReadPart) -> None:
        self._tar_blocks = [-(-size // BLOCK) for size in tar_sizes]
        self._read_part = read_part
        self._placed: list[_Placed] = []
        self._sparse: dict[int, _Chunks] = {}
        self._chunks = 0

    def write(self, root: Directory) -> Index:
        position = erofs.SUPERBLOCK_OFFSET + erofs.SUPERBLOCK.size
        position += len(self._tar_blocks) * erofs.DEVICE_SLOT.size
        position = self._place_all(root, _round_up(position, BLOCK))
        end = self._place_blocks(_round_up(position, BLOCK))
        spilled: Spill = []
        size = self._place_spilled(end, spilled)
        bases = self._device_bases(size // BLOCK)
        head = bytearray(end)
        self._write_superblock(head, root, size // BLOCK, bases)
        for placed in self._placed:
            self._write_inode(head, placed, bases)
        return Index(head, spilled, size)

    # Places

    def _place_all(self, root: Directory, position: int) -> int:
        """Inodes in the order of directories from the top, siblings beside one another."""
        root.nid = root.nlink = 0
        _reset(root)
        pending = [root]
        position = self._place(root, root, position)
        for directory in pending:
            subdirectories = 0
            for name in sorted(directory.children):
                node = directory.children[name]
                node.nlink += 1
                if node.nid >= 0:
                    continue
                position = self._place(node, directory, position)
                if isinstance(node, Directory):
                    subdirectories += 1
                    pending.append(node)
            directory.nlink = 2 + subdirectories
        return position

    def _place(self, node: Node, parent: Directory, position: int) -> int:
        xattrs = _xattrs(node) if node.xattrs or isinstance(node, Directory) else b""
        placed = _Placed(node, xattrs)
        self._placed.append(placed)
        position = _round_up(position, 1 << erofs.NID_BITS)
        own = _INODE_SIZE + len(xattrs)
        if isinstance(node, Directory):
            placed.parent = parent.nid
            placed.names, placed.size = _dirent_blocks(node)
        elif node.link:
            placed.size = len(node.link)
        elif node.parts is not None:
            chunks = self._sparse[id(node)] = _Chunks(node, self._budget)
            node.nid = position >> erofs.NID_BITS
            return _round_up(position + own, erofs.CHUNK_INDEX.size) + chunks.index_size
        else:
            node.nid = position >> erofs.NID_BITS
            return position + own
        if own % BLOCK + placed.size <= BLOCK:
            placed.inline = True
            if (position + own) % BLOCK + placed.size > BLOCK:
                # Inline data must not cross the end of a block.
                position = _round_up(position, BLOCK)
            node.nid = position >> erofs.NID_BITS
            return position + own + placed.size
        node.nid = position >> erofs.NID_BITS
        return position + own

    def _budget(self, chunks: int) -> None:
        self._chunks += chunks
        if self._chunks > _CHUNKS:
            raise InvalidParameter("the layer's sparse files have too many parts")

    def _place_blocks(self, position: int) -> int:
        for placed in self._placed:
            if placed.size and not placed.inline:
                placed.block = position >> BLOCK_BITS
                position += _round_up(placed.size, BLOCK)
        return position

    def _place_spilled(self, position: int, spilled: Spill) -> int:
        for chunks in self._sparse.values():
            position = chunks.place(position, spilled, self._read_part)
        return position

    def _device_bases(self, primary_blocks: int) -> list[int]:
        bases = []
        base = primary_blocks
        for blocks in self._tar_blocks:
            bases.append(base)
            base += blocks
        if base >= _MAX_BLOCKS:
            raise InvalidParameter("the layers are larger together than EROFS can address")
        return bases

    # Bytes

    def _write_superblock(
        self, head: bytearray, root: Directory, primary_blocks: int, bases: list[int]
    ) -> None:
        devices = len(self._tar_blocks)
        slots = erofs.SUPERBLOCK_OFFSET + erofs.SUPERBLOCK.size
        incompatible = erofs.INCOMPAT_DEVICE_TABLE if devices else 0
        if self._sparse:
            incompatible |= erofs.INCOMPAT_CHUNKED_FILE
        erofs.SUPERBLOCK.pack_into(
            head, erofs.SUPERBLOCK_OFFSET, erofs.MAGIC, 0, erofs.COMPAT_MTIME, BLOCK_BITS, 0, root.nid,
            len(self._placed), 0, 0, primary_blocks, 0, 0, b"", b"", incompatible, 0, devices,
            slots // erofs.DEVICE_SLOT.size,
        )  # fmt: skip
        for number, (blocks, base) in enumerate(zip(self._tar_blocks, bases, strict=True)):
            tag = b"layer %d" % number
            erofs.DEVICE_SLOT.pack_into(head, slots + number * erofs.DEVICE_SLOT.size, tag, blocks, base)

    def _write_inode(self, head: bytearray, placed: _Placed, bases: list[int]) -> None:
        node = placed.node
        layout = erofs.FLAT_PLAIN
        kind = stat.S_IFMT(node.mode)
        data = placed.block
        size = placed.size
        position = node.nid << erofs.NID_BITS
        after = position + _INODE_SIZE + len(placed.xattrs)
        if kind == stat.S_IFREG:
            size = node.size
            chunks = self._sparse.get(id(node))
            if chunks is not None:
                layout = erofs.CHUNK_BASED
                data = chunks.information
                chunks.write(head, _round_up(after, erofs.CHUNK_INDEX.size))
            elif size:
                data = bases[node.layer] + (node.offset >> BLOCK_BITS)
        elif kind == stat.S_IFDIR or node.link:
            where = after if placed.inline else placed.block << BLOCK_BITS
            if placed.inline:
                layout = erofs.FLAT_INLINE
            if isinstance(node, Directory):
                _write_directory(head, where, node, placed)
            else:
                head[where : where + size] = node.link
        else:
            data = _encoded_device(node.rdev)
        count = (len(placed.xattrs) - erofs.XATTR_HEADER.size) // 4 + 1 if placed.xattrs else 0
        seconds, nanoseconds = divmod(node.mtime, 1_000_000_000)
        erofs.INODE.pack_into(
            head, position, erofs.EXTENDED | layout << 1, count, node.mode, 0, size, data,
            node.nid & 0xFFFFFFFF, node.uid & 0xFFFFFFFF, node.gid & 0xFFFFFFFF, _seconds(seconds),
            nanoseconds, node.nlink,
        )  # fmt: skip
        if placed.xattrs:
            head[position + _INODE_SIZE : after] = placed.xattrs


class _Chunks:
    """A sparse file in pieces of one size, each in a tar, in the index, or a hole."""

    def __init__(self, node: Node, budget: Callable[[int], None]) -> None:
        self._node = node
        bits = 0
        while node.size >> (BLOCK_BITS + bits) > _CHUNKS_PER_FILE:
            bits += 1
        if bits > _LARGEST_CHUNK_BITS:
            raise InvalidParameter(f"a sparse file of {node.size} bytes is too large")
        self.information = erofs.CHUNK_INDEXES | bits
        self._size = BLOCK << bits
        self._count = -(-node.size // self._size)
        budget(self._count)
        self._entries: dict[int, tuple[int, int]] = {}

    @property
    def index_size(self) -> int:
        return self._count * erofs.CHUNK_INDEX.size

    def place(self, position: int, spilled: Spill, read_part: ReadPart) -> int:
        """Find each chunk's place. Those that are not in a tar as they are go to `position` and on; where
        they end is returned."""
        covering: dict[int, list[tuple[int, int, int]]] = {}
        for start, offset, length in self._node.parts or []:
            for chunk in range(start // self._size, (start + length - 1) // self._size + 1):
                covering.setdefault(chunk, []).append((start, offset, length))
        for chunk, parts in covering.items():
            begin = chunk * self._size
            end = min(begin + self._size, self._node.size)
            start, offset, length = parts[0]
            there = offset + begin - start
            if start <= begin and start + length >= end and there % BLOCK == 0:
                self._entries[chunk] = (self._node.layer + 1, there >> BLOCK_BITS)
                continue
            for start, offset, length in parts:
                first, last = max(start, begin), min(start + length, end)
                data = read_part(self._node.layer, offset + first - start, last - first)
                spilled.append((position + first - begin, data))
            self._entries[chunk] = (0, position >> BLOCK_BITS)
            position += self._size
        return position

    def write(self, head: bytearray, where: int) -> None:
        hole = erofs.CHUNK_INDEX.pack(0, 0, erofs.NULL_BLOCK)
        head[where : where + self.index_size] = hole * self._count
        for chunk, (device, block) in self._entries.items():
            erofs.CHUNK_INDEX.pack_into(head, where + chunk * len(hole), 0, device, block)


def _reset(root: Directory) -> None:
    pending = [root]
    while pending:
        for node in pending.pop().children.values():
            node.nid = -1
            node.nlink = 0
            if isinstance(node, Directory):
                pending.append(node)


def _dirent_blocks(directory: Directory) -> tuple[list[list[bytes]], int]:
    """The names of each block of a directory, and its size in bytes, the last block not filled up."""
    blocks: list[list[bytes]] = []
    used = BLOCK
    names: list[bytes] = []
    for name in sorted([b".", b"..", *directory.children]):
        needed = _DIRENT_SIZE + len(name)
        if used + needed > BLOCK:
            names = []
            blocks.append(names)
            used = 0
        names.append(name)
        used += needed
    return blocks, (len(blocks) - 1) * BLOCK + used


def _write_directory(head: bytearray, where: int, directory: Directory, placed: _Placed) -> None:
    children = directory.children
    for names in placed.names:
        name_offset = len(names) * _DIRENT_SIZE
        position = where
        for name in names:
            if name == b".":
                nid, kind = directory.nid, 2
            elif name == b"..":
                nid, kind = placed.parent, 2
            else:
                child = children[name]
                nid, kind = child.nid, erofs.FILE_TYPES[child.mode >> 12]
            erofs.DIRENT.pack_into(head, position, nid, name_offset, kind)
            position += _DIRENT_SIZE
            head[where + name_offset : where + name_offset + len(name)] = name
            name_offset += len(name)
        where += BLOCK


def _xattrs(node: Node) -> bytes:
    attributes = dict(node.xattrs or {})
    if isinstance(node, Directory) and node.opaque:
        attributes[_OPAQUE] = b"y"
    body = bytearray()
    for name in sorted(attributes):
        value = attributes[name]
        index, suffix = _split_name(name)
        if not index:
            continue
        if len(suffix) > erofs.NAME_LIMIT or len(value) > 0xFFFF:
            raise InvalidParameter(f"extended attribute {name!r} is too large")
        body += erofs.XATTR_ENTRY.pack(len(suffix), index, len(value)) + suffix + value
        body += bytes(-len(body) % 4)
    if not body:
        return b""
    if len(body) > erofs.XATTR_LIMIT:
        raise InvalidParameter("a file's extended attributes are too large")
    return erofs.XATTR_HEADER.pack(0, 0) + bytes(body)


def _split_name(name: bytes) -> tuple[int, bytes]:
    """An attribute's name without its prefix. 0 for a namespace that no file system of Linux has."""
    for prefix, index in erofs.XATTR_PREFIXES:
        if name.startswith(prefix):
            return index, name[len(prefix) :]
    return 0, name


def _encoded_device(device: int) -> int:
    """The kernel's 32 bits (new_encode_dev): 12 of the major number, 20 of the minor."""
    major, minor = os.major(device), os.minor(device)
    return minor & 0xFF | (major & 0xFFF) << 8 | (minor & ~0xFF & 0xFFFFF) << 12


def _seconds(seconds: int) -> int:
    return max(min(seconds, 2**63 - 1), -(2**63))


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
