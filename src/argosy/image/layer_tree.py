"""A layer's tar as a tree in memory: what laying it down in a directory would make.

The rules are those of `layer_apply`: every name is resolved with the layer's root as its root, symbolic
links of the same layer included, and what stands in an entry's way is replaced, except a directory by a
directory. Contents stay in the tar: a file is where its bytes are.
"""

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Iterator

from argosy.errors import InvalidParameter
from argosy.image import posix_acl, tar, whiteout
from argosy.image.tar import Entry, TarReader

_LINKS_LIMIT = 40
_NAME_LIMIT = 255
_TARGET_LIMIT = 4095
_LARGEST_ID = 0xFFFFFFFE
# What a layer may hold, some hundred bytes of memory each.
ENTRIES_LIMIT = 4_000_000
_TYPES = {
    tar.REGULAR: stat.S_IFREG,
    tar.SYMLINK: stat.S_IFLNK,
    tar.CHARACTER: stat.S_IFCHR,
    tar.BLOCK_DEVICE: stat.S_IFBLK,
    tar.FIFO: stat.S_IFIFO,
}
# What a layer says about a directory that it has no entry for, if nobody below says otherwise.
_IMPLIED_MODE = stat.S_IFDIR | 0o755

Part = tuple[int, int, int]


class Node:
    """An inode. `mtime` in nanoseconds.

    A regular file's bytes are at `offset` in the tar of the layer with the number `layer` (0 is the
    lowest), or, if it is sparse, in `parts`: (offset in the file, offset in the tar, length).
    """

    __slots__ = (
        "gid", "layer", "link", "mode", "mtime", "nid", "nlink", "offset", "parts", "rdev", "size", "uid",
        "xattrs",
    )  # fmt: skip

    def __init__(self, mode: int, uid: int, gid: int, mtime: int) -> None:
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.nlink = 1
        self.size = 0
        self.offset = 0
        self.layer = 0
        self.rdev = 0
        self.link = b""
        self.parts: list[Part] | None = None
        self.xattrs: dict[bytes, bytes] | None = None
        # Where the index has put it.
        self.nid = -1

    @property
    def is_whiteout(self) -> bool:
        return stat.S_ISCHR(self.mode) and self.rdev == 0


class Directory(Node):
    """`implied`: the layer has no entry for it, so the layers below say what its attributes are."""

    __slots__ = ("children", "implied", "opaque")

    def __init__(self, mode: int, uid: int, gid: int, mtime: int, *, implied: bool = False) -> None:
        super().__init__(mode, uid, gid, mtime)
        self.children: dict[bytes, Node] = {}
        self.implied = implied
        self.opaque = False


def read_layer(reader: TarReader) -> Directory:
    """The tree of a layer, read to the end of its stream.

    Raises InvalidParameter for a tar that is damaged or asks for the impossible.
    """
    builder = _Builder()
    for entry in reader:
        try:
            builder.apply(entry, reader.stream.offset)
        except (OSError, ValueError, OverflowError) as error:
            shown = os.fsdecode(entry.name)
            raise InvalidParameter(f"failed to apply layer entry {shown!r}: {error}") from error
    reader.stream.drain()
    return builder.root


def walk(root: Directory) -> Iterator[tuple[bytes, Node]]:
    """Every name below `root` in order, a directory before what it holds. Hard links come each."""
    stack: list[tuple[bytes, Node]] = [(b"", root)]
    while stack:
        path, node = stack.pop()
        if path:
            yield path, node
        if isinstance(node, Directory):
            prefix = path + b"/" if path else b""
            children = node.children
            stack += [(prefix + name, children[name]) for name in sorted(children, reverse=True)]


def measure(root: Directory) -> tuple[int, int]:
    """(bytes, inodes) as Docker counts them: contents of files, each once, and all but the root."""
    size = inodes = 0
    seen: set[int] = set()
    for _, node in walk(root):
        if node.nlink > 1:
            if id(node) in seen:
                continue
            seen.add(id(node))
        inodes += 1
        size += node.size
    return size, inodes


def clean(name: bytes) -> bytes:
    """The name below the root: no slash in front or at the end, `.` and `..` resolved, never above."""
    if name.startswith(b"./"):
        name = name[2:]
    name = name.strip(b"/")
    if b"//" in name or b"/." in name or name.startswith(b"."):
        name = posixpath.normpath(b"/" + name).lstrip(b"/")
    if b"\0" in name:
        raise ValueError("name holds a null byte")
    return name


class _Builder:
    def __init__(self) -> None:
        self.root = Directory(_IMPLIED_MODE, 0, 0, 0, implied=True)
        # Parents by path, symbolic links followed. Cleared when a name comes to mean something else.
        self._known: dict[bytes, Directory] = {}
        self._entries = 0

    def apply(self, entry: Entry, offset: int) -> None:
        self._entries += 1
        if self._entries > ENTRIES_LIMIT:
            raise ValueError(f"the layer has more than {ENTRIES_LIMIT} entries")
        if not (0 <= entry.uid <= _LARGEST_ID and 0 <= entry.gid <= _LARGEST_ID):
            raise ValueError("owner or group is out of range")
        path = clean(entry.name)
        slash = path.rfind(b"/")
        parent, name = (path[:slash], path[slash + 1 :]) if slash >= 0 else (b"", path)
        if not name:
            if entry.type == tar.DIRECTORY:
                _describe(self.root, entry)
            return
        if name.startswith(whiteout.PREFIX):
            self._whiteout(parent, name, entry.mtime)
            return
        if len(name) > _NAME_LIMIT:
            raise _error(errno.ENAMETOOLONG)
        directory = self._known.get(parent)
        if directory is None:
            directory = self._parent(parent, entry.mtime)
        children = directory.children
        present = children.get(name)
        kind = entry.type
        if kind == tar.DIRECTORY:
            self._directory(children, name, present, entry)
            return
        if kind == tar.HARD_LINK:
            node = self._linked(entry, directory, name)
            if node is present:
                return
            node.nlink += 1
        else:
            node = _leaf(entry, offset)
        if present is not None:
            self._replace(present)
        children[name] = node

    def _directory(
        self, children: dict[bytes, Node], name: bytes, present: Node | None, entry: Entry
    ) -> None:
        if isinstance(present, Directory):
            _describe(present, entry)
            return
        made = Directory(0, 0, 0, 0)
        _describe(made, entry)
        if present is not None:
            made.opaque = present.is_whiteout
            self._replace(present)
        children[name] = made

    def _linked(self, entry: Entry, directory: Directory, name: bytes) -> Node:
        parent, _, target = clean(entry.link).rpartition(b"/")
        if not target:
            raise ValueError("hard link to the root directory")
        holder = self._follow(self.root, parent)
        node = holder.children.get(target) if isinstance(holder, Directory) else None
        if node is None:
            raise _error(errno.ENOENT)
        if isinstance(node, Directory):
            raise _error(errno.EPERM)
        return node

    def _whiteout(self, parent: bytes, name: bytes, mtime: int) -> None:
        if name == whiteout.OPAQUE_MARK:
            # In what is no directory it says nothing, as to Docker.
            with contextlib.suppress(NotADirectoryError):
                self._parent(parent, mtime).opaque = True
            return
        if name.startswith(whiteout.RESERVED_PREFIX):
            return
        hidden = name[len(whiteout.PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise ValueError("invalid whiteout")
        children = self._parent(parent, mtime).children
        present = children.get(hidden)
        if present is None:
            children[hidden] = Node(stat.S_IFCHR, 0, 0, mtime)
        elif isinstance(present, Directory):
            # A whiteout hides what is below, not what its own layer holds.
            present.opaque = True

    def _replace(self, present: Node) -> None:
        """`present` has lost a name, and perhaps other paths led through it."""
        present.nlink -= 1
        self._known.clear()

    def _parent(self, path: bytes, mtime: int) -> Directory:
        directory = self._known.get(path)
        if directory is not None:
            return directory
        found = self._follow(self.root, path)
        directory = found if isinstance(found, Directory) else self._make_parent(path, mtime)
        self._known[path] = directory
        return directory

    def _make_parent(self, path: bytes, mtime: int) -> Directory:
        above, _, name = path.rpartition(b"/")
        if len(name) > _NAME_LIMIT:
            raise _error(errno.ENAMETOOLONG)
        holder = self._parent(above, mtime)
        present = holder.children.get(name)
        if present is not None and not present.is_whiteout:
            raise _error(errno.ENOTDIR)
        made = Directory(_IMPLIED_MODE, 0, 0, mtime, implied=True)
        if present is not None:
            made.opaque = True
            self._replace(present)
        holder.children[name] = made
        return made

    def _follow(self, start: Directory, path: bytes) -> Node | None:
        """What `path` names for a process whose root is the layer's; None if it is not there."""
        followed = 0
        trail = [start]
        names = path.split(b"/")[::-1]
        node: Node = start
        while names:
            name = names.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                if len(trail) > 1:
                    trail.pop()
                node = trail[-1]
                continue
            found = trail[-1].children.get(name)
            if found is None:
                return None
            if stat.S_ISLNK(found.mode):
                followed += 1
                if followed > _LINKS_LIMIT:
                    raise _error(errno.ELOOP)
                if found.link.startswith(b"/"):
                    trail = [start]
                    node = start
                names += found.link.split(b"/")[::-1]
                continue
            node = found
            if isinstance(found, Directory):
                trail.append(found)
            elif any(rest not in (b"", b".") for rest in names):
                return None
        return node


def _describe(directory: Directory, entry: Entry) -> None:
    directory.mode = stat.S_IFDIR | entry.mode & 0o7777
    directory.uid = entry.uid
    directory.gid = entry.gid
    directory.mtime = entry.mtime
    directory.xattrs = _attributes(entry)
    directory.implied = False


def _leaf(entry: Entry, offset: int) -> Node:
    kind = _TYPES.get(entry.type)
    if kind is None:
        raise ValueError(f"unhandled tar header type {entry.type[0]}")
    node = Node(kind | entry.mode & 0o7777, entry.uid, entry.gid, entry.mtime)
    if kind == stat.S_IFREG:
        node.size = entry.size
        if entry.sparse is None:
            node.offset = offset
        else:
            node.parts = _placed(entry.sparse, offset)
    elif kind == stat.S_IFLNK:
        if not 0 < len(entry.link) <= _TARGET_LIMIT:
            raise _error(errno.ENAMETOOLONG if entry.link else errno.ENOENT)
        node.mode = stat.S_IFLNK | 0o777
        node.link = entry.link
        node.size = len(entry.link)
    elif kind != stat.S_IFIFO:
        node.rdev = os.makedev(entry.major, entry.minor)
    if entry.xattrs:
        node.xattrs = _attributes(entry)
    return node


def _placed(parts: list[tuple[int, int]], offset: int) -> list[Part]:
    placed = []
    for position, length in parts:
        if length:
            placed.append((position, offset, length))
        offset += length
    return placed


def _attributes(entry: Entry) -> dict[bytes, bytes] | None:
    """As a file system would take them: users' attributes exist on files and directories only."""
    if not entry.xattrs:
        return None
    held = entry.type in (tar.REGULAR, tar.DIRECTORY)
    attributes = {
        name: value
        for name, value in entry.xattrs.items()
        if not name.startswith(whiteout.OVERLAY_ATTRIBUTES) and (held or not name.startswith(b"user."))
    }
    if posix_acl.DEFAULT in attributes:
        posix_acl.parse(attributes[posix_acl.DEFAULT])
        if entry.type != tar.DIRECTORY:
            raise _error(errno.EACCES)
    if (access := attributes.pop(posix_acl.ACCESS, None)) is not None:
        # The mode is set after the attributes, and has the last word.
        changed = posix_acl.with_mode(access, entry.mode)
        if changed is not None:
            attributes[posix_acl.ACCESS] = changed
    return attributes or None


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
