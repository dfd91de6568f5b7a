"""Writing the layer that a COPY, ADD or WORKDIR adds, straight as a tar: nothing is unpacked for it.

Where a path leads is decided by the tree that the layer is put on (`base`) together with what the layer
itself has added so far: a link in either is followed, and never out of the root.
"""

import os
import posixpath
import stat
from collections.abc import Callable, Iterable
from typing import NamedTuple

from argosy.build.complain import DockerfileError
from argosy.build.files import Files, Status, extended_attributes, follow, status_of
from argosy.build.mode import ModeChange
from argosy.build.select import Picked, Root, Selection
from argosy.errors import InvalidParameter
from argosy.image import tar, tarwrite
from argosy.linux.path import O_PATH, open_in_root

_CHUNK = 1 << 20
_SMALL = 1 << 17
_KINDS = {
    stat.S_IFREG: tar.REGULAR,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}
Write = Callable[[bytes], object]


class Changed(InvalidParameter):
    """A file is no longer what it was when the layer's key was made."""


class Attributes(NamedTuple):
    """What COPY's flags say of all that is copied; None and "" leave it as it is."""

    owner: tuple[int, int] | None = None
    mode: ModeChange | None = None

    @property
    def for_directories(self) -> tuple[tuple[int, int], int]:
        """Owner and mode of a directory that is made on the way."""
        mode = self.mode.applied(0o755, directory=True) if self.mode else 0o755
        return self.owner or (0, 0), mode


class Layer:
    """`now` is the time of what has none of its own, in nanoseconds; with `latest`, nothing is younger."""

    def __init__(self, base: Files | None, write: Write, now: int, latest: int | None = None) -> None:
        self._base = base
        self._write = write
        self._now = now
        self._latest = latest
        self._buffer = bytearray()
        # What the layer has: the target of a link, "/" for a directory, "" for the rest.
        self._added: dict[str, str] = {}
        self._touched: set[str] = set()
        self._links: dict[tuple[int, int], str] = {}

    def finish(self) -> None:
        self._emit(tarwrite.END)
        self.flush()

    def flush(self) -> None:
        if self._buffer:
            self._write(bytes(self._buffer))
            self._buffer.clear()

    # Where a path leads

    def resolve(self, path: str) -> str:
        return follow(path, self._link)

    def is_directory(self, resolved: str) -> bool:
        added = self._added.get(resolved)
        if added is not None:
            return added == "/"
        if not resolved:
            return True
        status = self._base.status(resolved) if self._base is not None else None
        return status is not None and status.is_directory

    def exists(self, resolved: str) -> bool:
        if resolved in self._added or not resolved:
            return True
        return self._base is not None and self._base.status(resolved) is not None

    def _link(self, path: str) -> str | None:
        added = self._added.get(path)
        if added is not None:
            return added if added not in ("", "/") else None
        status = self._base.status(path) if self._base is not None else None
        return self._base.link(path) if self._base is not None and status and status.is_link else None

    # What is put there

    def directory(self, path: str, owner: tuple[int, int] = (0, 0), mode: int = 0o755) -> str:
        """Make it and what leads there, as far as it is missing. Returns where it is."""
        resolved = self.resolve(path)
        parts = resolved.split("/") if resolved else []
        for depth in range(1, len(parts) + 1):
            each = "/".join(parts[:depth])
            if self.is_directory(each):
                continue
            if self.exists(each):
                raise InvalidParameter(f"cannot create directory /{each}: it exists and is no directory")
            status = Status(stat.S_IFDIR | mode, *owner, 0, 0, 0, self._now, 0, 0, 1)
            self._put(each, status)
        return resolved

    def transfer(self, selection: Selection, destination: str, attributes: Attributes) -> None:
        """COPY: `destination` is absolute, with a slash at its end if it must be a directory."""
        into = destination.endswith("/") or len(selection.roots) > 1
        for root in selection.roots:
            self._transfer(selection.files, root, destination, attributes, into=into)

    def transfer_parents(self, selection: Selection, destination: str, attributes: Attributes) -> None:
        """COPY --parents: the destination is a directory, whatever it looks like."""
        base = self.directory(destination, *attributes.for_directories)
        for root in selection.roots:
            for item in root.picked:
                self._item(selection.files, item, _joined(base, item.target), attributes)

    def file(self, path: str, content: bytes, attributes: Attributes, mode: int = 0o644) -> None:
        """A file made of a heredoc or of what was fetched."""
        owner = attributes.owner or (0, 0)
        self.directory(posixpath.dirname(path), *attributes.for_directories)
        resolved = self.resolve(path)
        mode = attributes.mode.applied(mode, directory=False) if attributes.mode else mode
        self._require_no_directory(resolved)
        self._put(resolved, Status(stat.S_IFREG | mode, *owner, len(content), 0, 0, self._now, 0, 0, 1))
        self._emit(content + bytes(tar.padding(len(content))))

    def archive(self, source: tar.Source, destination: str, attributes: Attributes) -> None:
        """ADD of an archive: its entries, with their owners unless told otherwise.

        Raises InvalidParameter.
        """
        base = self.directory(destination, *attributes.for_directories)
        reader = tar.TarReader(source)
        for entry in reader:
            name = posixpath.normpath("/" + os.fsdecode(entry.name)).lstrip("/")
            if not name:
                continue
            parent = self.directory(_joined(base, posixpath.dirname(name)), attributes.owner or (0, 0))
            self._archived(reader, entry, _joined(parent, posixpath.basename(name)), base, attributes)

    def _archived(
        self, reader: tar.TarReader, entry: tar.Entry, target: str, base: str, attributes: Attributes
    ) -> None:
        kinds = {kind: bits for bits, kind in _KINDS.items()}
        uid, gid = attributes.owner or (entry.uid, entry.gid)
        if entry.type == tar.HARD_LINK:
            name = posixpath.normpath("/" + os.fsdecode(entry.link)).lstrip("/")
            first = self.resolve(_joined(base, name))
            if first not in self._added:
                raise InvalidParameter(f"invalid archive: hard link to {name}, which is not there")
            status = Status(stat.S_IFREG | entry.mode & 0o7777, uid, gid, 0, 0, 0, entry.mtime, 0, 0, 2)
            self._hard_link(target, first, status)
            return
        bits = kinds.get(entry.type)
        if bits is None:
            return
        mode = 0o777 if bits == stat.S_IFLNK else entry.mode & 0o7777
        if attributes.mode and bits != stat.S_IFLNK:
            mode = attributes.mode.applied(mode, directory=bits == stat.S_IFDIR)
        rdev = os.makedev(entry.major, entry.minor) if bits in (stat.S_IFCHR, stat.S_IFBLK) else 0
        size = entry.size if bits == stat.S_IFREG else 0
        status = Status(bits | mode, uid, gid, size, 0, 0, entry.mtime, 0, rdev, 1)
        if bits != stat.S_IFDIR:
            self._require_no_directory(target)
        self._put(target, status, link=os.fsdecode(entry.link), xattrs=entry.xattrs)
        if bits == stat.S_IFREG:
            self._archived_contents(reader, entry)

    def _archived_contents(self, reader: tar.TarReader, entry: tar.Entry) -> None:
        """A sparse file's holes are filled: every reader of layers knows plain files."""
        position = 0
        stored = reader.open(entry)
        for offset, length in entry.sparse or [(0, entry.size)]:
            self._emit(bytes(offset - position))
            left = length
            while left and (data := stored.read(min(left, _CHUNK))):
                self._emit(data)
                left -= len(data)
            position = offset + length
        self._emit(bytes(entry.size - position) + bytes(tar.padding(entry.size)))

    def _transfer(
        self,
        files: Files,
        root: Root,
        destination: str,
        attributes: Attributes,
        *,
        into: bool,
    ) -> None:
        if root.status.is_directory:
            resolved = self.resolve(destination)
            if self.is_directory(resolved):
                items = root.picked[1:]
            else:
                if self.exists(resolved):
                    raise InvalidParameter(f"cannot copy to non-directory: /{resolved}")
                self.directory(posixpath.dirname(resolved), *attributes.for_directories)
                items = root.picked
            for item in items:
                self._item(files, item, _joined(resolved, item.target), attributes)
            return
        resolved = self.resolve(destination)
        if into or self.is_directory(resolved):
            resolved = _joined(self.directory(destination, *attributes.for_directories), root.name)
        else:
            self.directory(posixpath.dirname(resolved), *attributes.for_directories)
        for item in root.picked:
            self._item(files, item, resolved, attributes)

    def _item(self, files: Files, item: Picked, target: str, attributes: Attributes) -> None:
        status = item.status
        if status.is_directory:
            if self._link(target) is not None or (self.exists(target) and not self.is_directory(target)):
                raise InvalidParameter(f"cannot copy to non-directory: /{target}")
            if item.is_parent and self.exists(target):
                return
        else:
            self._require_no_directory(target)
        uid, gid = attributes.owner or (status.uid, status.gid)
        mode = stat.S_IMODE(status.mode)
        if attributes.mode and not status.is_link:
            mode = attributes.mode.applied(mode, directory=status.is_directory)
        changed = status._replace(mode=stat.S_IFMT(status.mode) | mode, uid=uid, gid=gid)
        if status.links > 1 and not status.is_directory:
            first = self._links.setdefault((status.device, status.inode), target)
            if first != target:
                self._hard_link(target, first, changed)
                return
        link = files.link(item.path) if status.is_link else ""
        xattrs = {} if files.anonymous or status.is_link else files.attributes(item.path)
        if not status.is_regular:
            self._put(target, changed, link=link, xattrs=xattrs)
            return
        descriptor = files.open(item.path, status)
        try:
            _require_same(descriptor, status, item.path)
            self._put(target, changed, xattrs=xattrs)
            self._contents(descriptor, status.size, item.path)
            _require_same(descriptor, status, item.path)
        finally:
            os.close(descriptor)

    def _hard_link(self, target: str, first: str, status: Status) -> None:
        self._touch(target)
        self._emit(
            tarwrite.header(
                _bytes(target),
                tar.HARD_LINK,
                mode=stat.S_IMODE(status.mode),
                uid=status.uid,
                gid=status.gid,
                mtime=self._time(status.mtime),
                link=_bytes(first),
            )
        )
        self._added[target] = self._added[first]

    def _contents(self, descriptor: int, size: int, path: str) -> None:
        left = size
        while left:
            data = os.read(descriptor, min(left, _CHUNK))
            if not data:
                raise Changed(f"/{path} became shorter while it was copied")
            left -= len(data)
            if len(data) >= _SMALL:
                self.flush()
                self._write(data)
            else:
                self._emit(data)
        self._emit(bytes(tar.padding(size)))

    def _put(
        self, target: str, status: Status, *, link: str = "", xattrs: dict[bytes, bytes] | None = None
    ) -> None:
        self._touch(target)
        self._header(target, status, link=link, xattrs=xattrs)

    def _header(
        self, target: str, status: Status, *, link: str = "", xattrs: dict[bytes, bytes] | None = None
    ) -> None:
        kind = _KINDS[stat.S_IFMT(status.mode)]
        is_directory = kind == tar.DIRECTORY
        device = kind in (tar.CHARACTER, tar.BLOCK_DEVICE)
        self._emit(
            tarwrite.header(
                _bytes(target) + (b"/" if is_directory else b""),
                kind,
                mode=stat.S_IMODE(status.mode),
                uid=status.uid,
                gid=status.gid,
                size=status.size if kind == tar.REGULAR else 0,
                mtime=self._time(status.mtime),
                link=_bytes(link) if kind == tar.SYMLINK else b"",
                major=os.major(status.rdev) if device else 0,
                minor=os.minor(status.rdev) if device else 0,
                xattrs=xattrs,
            )
        )
        self._added[target] = "/" if is_directory else link if kind == tar.SYMLINK else ""

    def _touch(self, target: str) -> None:
        """What is put into a directory changes its time, and nothing else about it. Docker's layers have
        the directories above, too."""
        parent = target.rpartition("/")[0]
        if not parent or parent in self._touched or parent in self._added:
            return
        self._touched.add(parent)
        self._touch(parent)
        status = self._base.status(parent) if self._base is not None else None
        if self._base is None or status is None or not status.is_directory:
            return
        descriptor = open_in_root(self._base.root, parent, O_PATH | os.O_NOFOLLOW)
        try:
            xattrs = extended_attributes(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        time = self._now if target not in self._touched else status.mtime
        self._header(parent, status._replace(mtime=time), xattrs=xattrs)

    def _time(self, time: int) -> int:
        return time if self._latest is None else min(time, self._latest)

    def _require_no_directory(self, target: str) -> None:
        if self._link(target) is None and self.is_directory(target):
            raise InvalidParameter(f"cannot replace to directory /{target} with file")

    def _emit(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _CHUNK:
            self.flush()


def absolute(path: str, workdir: str) -> str:
    """A destination as it is meant, a slash at its end kept: `.` is a directory by its looks, too."""
    joined = posixpath.normpath(posixpath.join("/", workdir, path))
    joined = "/" + joined.lstrip("/")
    is_directory = path.endswith(("/", "/.")) or path in ("", ".")
    return joined + "/" if is_directory and joined != "/" else joined


def require_directory(names: Iterable[str], destination: str) -> None:
    if len(list(names)) > 1 and not destination.endswith("/"):
        raise DockerfileError(
            "When using COPY with more than one source file, the destination must be a directory and end "
            "with a /"
        )


def _joined(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name


def _bytes(path: str) -> bytes:
    return os.fsencode(path)


def _require_same(descriptor: int, status: Status, path: str) -> None:
    now = status_of(os.fstat(descriptor))
    if (now.size, now.mtime, now.inode) != (status.size, status.mtime, status.inode):
        raise Changed(f"/{path} changed while it was copied", hint="Build again when it is at rest.")
