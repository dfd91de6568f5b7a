"""Laying a layer's tar down in a directory of its own, in the form that overlay mounts.

The tar is somebody else's. Every name is resolved with the directory as its root (openat2 with
RESOLVE_IN_ROOT for the parent, the last component never followed), so that neither `..` nor absolute
names, symbolic links or hard links lead out. Whatever stands in an entry's way in the same layer is
replaced, except a directory by a directory.

A directory's own attributes are set when all entries are there: writing into it would change its time,
and a read-only or setgid one would get in the way. Nothing is synced here.
"""

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from argosy.errors import InvalidParameter
from argosy.image import tar, whiteout
from argosy.image.tar import Entry, Source, TarReader
from argosy.linux.path import DIRECTORY, O_PATH, open_in_root
from argosy.linux.remove_tree import remove_at
from argosy.linux.tree_size import tree_size

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORIES = 128
# A run of zeros this long is worth a hole: tar has no holes, and a sparse file comes back sparse.
_HOLE = 1 << 16
_ZEROS = bytes(_HOLE)
_SPECIAL = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}


@dataclass(frozen=True, slots=True)
class Applied:
    """`size` as Docker counts it: contents of files, each once. `implied`: directories (`b""`, the
    root, among them) that the layer has no entry for, whose attributes are those of the layers below.
    `whiteouts`: paths that have become one, some of which may have been replaced since."""

    size: int
    inodes: int
    implied: tuple[bytes, ...]
    whiteouts: tuple[bytes, ...] = ()


def apply_layer(root: str, layer: Source, opaque_attribute: str = whiteout.TRUSTED_OPAQUE) -> Applied:
    """Lay `layer` down in the empty directory `root`, reading it to its end.

    Raises InvalidParameter for a tar that is damaged or asks for the impossible, OSError for the rest.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        applier = Applier(descriptor, opaque_attribute)
        try:
            return applier.run(layer)
        finally:
            applier.close()
    finally:
        os.close(descriptor)


class Applier:
    """Of a layer. `tree_unpack` has one of any tar."""

    _failure = "failed to apply layer entry"

    def __init__(self, root: int, opaque_attribute: str = whiteout.TRUSTED_OPAQUE) -> None:
        self._root = root
        self._opaque_attribute = opaque_attribute
        # Open parents by path. Cleared when a directory is removed or renamed away beneath them.
        self._open: dict[bytes, int] = {b"": root}
        self._directories: dict[bytes, Entry] = {}
        self._implied: set[bytes] = set()
        self._opaque: set[bytes] = set()
        self._whiteouts: set[bytes] = set()
        self._size = 0
        self._inodes = 0
        self._replaced = False
        self._owner = (os.geteuid(), os.getegid())
        # By it a descriptor that is a mere handle (O_PATH) is reached also where / is another root.
        self._handles = os.open("/proc/self/fd", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        self._forget_directories()
        os.close(self._handles)

    def run(self, layer: Source) -> Applied:
        self.read(layer)
        if self._replaced:
            self._size, self._inodes = tree_size(self._root)
        implied = self._implied - self._opaque - self._directories.keys()
        if b"" not in self._directories:
            implied.add(b"")
        return Applied(self._size, self._inodes, tuple(sorted(implied)), tuple(sorted(self._whiteouts)))

    def read(self, archive: Source) -> None:
        """Lay everything down."""
        reader = TarReader(archive)
        for entry in reader:
            try:
                self._apply(entry, reader)
            except (OSError, ValueError, OverflowError) as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                    raise
                reason = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
                shown = os.fsdecode(entry.name)
                raise InvalidParameter(f"{self._failure} {shown!r}: {reason}") from error
        reader.stream.drain()
        self.finish_directories()

    def _apply(self, entry: Entry, reader: TarReader) -> None:
        path = clean(entry.name)
        parent, name = os.path.split(path)
        if not name:
            if entry.type == tar.DIRECTORY:
                self._note(entry, path, self._root, b".")
        elif name.startswith(whiteout.PREFIX):
            self._whiteout(parent, name)
        else:
            self._lay(entry, reader, parent, name, path)

    def _lay(self, entry: Entry, reader: TarReader, parent: bytes, name: bytes, path: bytes) -> None:
        directory = self._parent(parent)
        for _ in range(3):
            try:
                self._create(entry, reader, directory, path, name)
                return
            except FileExistsError:
                if self._make_way(entry, directory, path, name):
                    return
                # A removed directory may have been an open one.
                directory = self._parent(parent)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _make_way(self, entry: Entry, directory: int, path: bytes, name: bytes) -> bool:
        """Remove what stands where `entry` goes. True if nothing remains to be done."""
        present = os.stat(name, dir_fd=directory, follow_symlinks=False)
        wants_directory = entry.type == tar.DIRECTORY
        if wants_directory and stat.S_ISDIR(present.st_mode):
            self._note(entry, path, directory, name)
            return True
        if entry.type == tar.HARD_LINK and clean(entry.link) == path:
            return True
        self._remove(directory, name, path)
        if wants_directory and whiteout.is_whiteout_device(present):
            self._opaque.add(path)
        return False

    def _create(self, entry: Entry, reader: TarReader, directory: int, path: bytes, name: bytes) -> None:
        kind = entry.type
        if kind == tar.REGULAR:
            self._regular(entry, reader, directory, name)
        elif kind == tar.DIRECTORY:
            # Its mode comes last; until then nobody but the owner may enter.
            os.mkdir(name, 0o700, dir_fd=directory)
            self._note(entry, path, directory, name)
            self._inodes += 1
        elif kind == tar.SYMLINK:
            os.symlink(entry.link, name, dir_fd=directory)
            self._size += len(entry.link)
            self._attributes(entry, directory, name)
        elif kind == tar.HARD_LINK:
            self._hard_link(entry, directory, name)
        elif kind in _SPECIAL:
            mode = _SPECIAL[kind] | 0o600
            number = os.makedev(entry.major, entry.minor) if kind != tar.FIFO else 0
            os.mknod(name, mode, number, dir_fd=directory)
            self._attributes(entry, directory, name)
        else:
            raise ValueError(f"unhandled tar header type {kind[0]}")

    def _regular(self, entry: Entry, reader: TarReader, directory: int, name: bytes) -> None:
        descriptor = os.open(name, _CREATE, 0o600, dir_fd=directory)
        try:
            if entry.sparse is not None:
                _write_parts(descriptor, reader.contents(entry), entry)
            elif entry.size < _HOLE:
                for view in reader.contents(entry):
                    _write(descriptor, view)
            else:
                _write_with_holes(descriptor, reader.contents(entry), entry.size)
            if (entry.uid, entry.gid) != self._owner:
                os.fchown(descriptor, entry.uid, entry.gid)
            if entry.xattrs:
                set_attributes(descriptor, entry.xattrs)
            os.fchmod(descriptor, entry.mode & 0o7777)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)
        self._size += entry.size
        self._inodes += 1

    def _note(self, entry: Entry, path: bytes, directory: int, name: bytes) -> None:
        """A directory that `name` in `directory` is now, and that gets its attributes at the end."""
        self._directories[path] = entry

    def _attributes(self, entry: Entry, directory: int, name: bytes) -> None:
        """Of a symbolic link, a device or a fifo, which cannot be opened: by a handle, so that they go to
        what was made here and to nothing that has taken its name."""
        self._inodes += 1
        handle = os.open(name, _HANDLE, dir_fd=directory)
        try:
            if stat.S_IFMT(os.fstat(handle).st_mode) != _SPECIAL.get(entry.type, stat.S_IFLNK):
                raise FileExistsError(errno.EEXIST, "something else has taken its place", os.fsdecode(name))
            shown = b"%d" % handle
            if (entry.uid, entry.gid) != self._owner:
                os.chown(shown, entry.uid, entry.gid, dir_fd=self._handles)
            if entry.xattrs:
                self._set_attributes_of(shown, entry.xattrs)
            if entry.type != tar.SYMLINK:
                os.chmod(shown, entry.mode & 0o7777, dir_fd=self._handles)
            os.utime(shown, ns=(entry.mtime, entry.mtime), dir_fd=self._handles)
        finally:
            os.close(handle)

    def _set_attributes_of(self, handle: bytes, attributes: dict[bytes, bytes]) -> None:
        """The one call that takes paths only."""
        set_attributes(b"/proc/self/fd/" + handle, attributes)

    def _hard_link(self, entry: Entry, directory: int, name: bytes) -> None:
        parent, _, target = clean(entry.link).rpartition(b"/")
        if not target:
            raise ValueError("hard link to the root directory")
        source = open_in_root(self._root, parent, O_PATH | os.O_DIRECTORY) if parent else os.dup(self._root)
        try:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(source)

    def _whiteout(self, parent: bytes, name: bytes) -> None:
        if name == whiteout.OPAQUE_MARK:
            # In what is no directory it says nothing, as to Docker.
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                self._parent(parent)
                self._opaque.add(parent)
            return
        if name.startswith(whiteout.RESERVED_PREFIX):
            return
        hidden = name[len(whiteout.PREFIX) :]
        if hidden in (b"", b".", b".."):
            raise ValueError("invalid whiteout")
        directory = self._parent(parent)
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=directory)
            self._inodes += 1
            self._whiteouts.add(parent + b"/" + hidden if parent else hidden)
        except FileExistsError:
            # A whiteout hides what is below, not what its own layer holds.
            present = os.stat(hidden, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(present.st_mode):
                self._opaque.add(parent + b"/" + hidden if parent else hidden)

    def _parent(self, path: bytes) -> int:
        """An open directory inside the root, made if the layer has no entry for it."""
        descriptor = self._open.get(path)
        if descriptor is not None:
            return descriptor
        if len(self._open) > _OPEN_DIRECTORIES:
            self._forget_directories()
        try:
            descriptor = open_in_root(self._root, path, O_PATH | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            descriptor = self._make_parent(path)
        self._open[path] = descriptor
        return descriptor

    def _make_parent(self, path: bytes) -> int:
        above, _, name = path.rpartition(b"/")
        directory = self._parent(above)
        try:
            os.mkdir(name, 0o755, dir_fd=directory)
        except FileExistsError:
            present = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not whiteout.is_whiteout_device(present):
                raise
            self._remove(directory, name, path)
            directory = self._parent(above)
            os.mkdir(name, 0o755, dir_fd=directory)
            self._opaque.add(path)
        made = os.open(name, _HANDLE | os.O_DIRECTORY, dir_fd=directory)
        os.chmod(b"%d" % made, 0o755, dir_fd=self._handles)
        self._inodes += 1
        self._implied.add(path)
        return made

    def _remove(self, directory: int, name: bytes, path: bytes) -> None:
        self._replaced = True
        remove_at(directory, name)
        below = path + b"/"
        for known in [known for known in self._directories if known == path or known.startswith(below)]:
            self._forget(known)
        for names in (self._implied, self._opaque):
            names.difference_update([known for known in names if known == path or known.startswith(below)])
        self._forget_directories()

    def _forget(self, path: bytes) -> None:
        """A directory that is no more."""
        del self._directories[path]

    def _forget_directories(self) -> None:
        for path, descriptor in self._open.items():
            if path:
                os.close(descriptor)
        self._open = {b"": self._root}

    def finish_directories(self) -> None:
        for path in self._opaque:
            with _opened(self._root, path) as descriptor:
                os.setxattr(descriptor, self._opaque_attribute, b"y")
        for path, entry in self._directories.items():
            # Made through a symbolic link that has been replaced since, it may not be found again.
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                _opened(self._root, path) as held,
            ):
                set_directory(held, entry)


class _opened:
    """A directory that this layer made, for the length of a `with`."""

    def __init__(self, root: int, path: bytes) -> None:
        self._descriptor = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def inherit_attributes(root: str, implied: Iterable[bytes], lowers: list[str]) -> None:
    """Give directories that a layer only implies what the layers below (uppermost first) gave them."""
    descriptors = [os.open(lower, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for lower in lowers]
    own = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in implied:
            _inherit(own, path, descriptors)
    finally:
        for descriptor in (own, *descriptors):
            os.close(descriptor)


def drop_vain_whiteouts(root: str, whiteouts: Iterable[bytes], lowers: list[str]) -> None:
    """Remove those in directories of which the layers below have nothing: overlay would list them."""
    descriptors = [os.open(lower, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for lower in lowers]
    own = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        merged: dict[bytes, bool] = {}
        for path in whiteouts:
            parent, _, name = path.rpartition(b"/")
            with contextlib.suppress(FileNotFoundError, NotADirectoryError), _opened(own, parent) as held:
                present = os.stat(name, dir_fd=held, follow_symlinks=False)
                if parent not in merged:
                    merged[parent] = _is_merged(own, parent, descriptors)
                if whiteout.is_whiteout_device(present) and not merged[parent]:
                    os.unlink(name, dir_fd=held)
    finally:
        for descriptor in (own, *descriptors):
            os.close(descriptor)


def _is_merged(root: int, path: bytes, lowers: list[int]) -> bool:
    """Whether a directory of the layer shows what is below it, too."""
    names = path.split(b"/") if path else []
    above = [b"/".join(names[:count]) for count in range(len(names) + 1)]
    if any(_is_opaque(root, directory) for directory in above):
        return False
    for lower in lowers:
        for directory in above:
            try:
                descriptor = open_in_root(lower, directory, DIRECTORY)
            except FileNotFoundError:
                break
            except OSError:
                # A file, a link or a whiteout: what is below that does not show.
                return False
            os.close(descriptor)
        else:
            return True
        if any(_is_opaque(lower, directory) for directory in above):
            return False
    return False


def _is_opaque(root: int, path: bytes) -> bool:
    try:
        with _opened(root, path) as held:
            return any(
                os.getxattr(held, name) == b"y"
                for name in os.listxattr(held)
                if name.endswith(".overlay.opaque")
            )
    except OSError:
        return False


def _inherit(root: int, path: bytes, lowers: list[int]) -> None:
    for lower in lowers:
        try:
            source = open_in_root(lower, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        except OSError:
            # A file, a link or a whiteout: what is below that does not show.
            return
        try:
            status = os.fstat(source)
            attributes = {
                os.fsencode(name): os.getxattr(source, name)
                for name in os.listxattr(source)
                if not os.fsencode(name).startswith(whiteout.OVERLAY_ATTRIBUTES)
            }
        finally:
            os.close(source)
        with _opened(root, path) as target:
            os.fchown(target, status.st_uid, status.st_gid)
            set_attributes(target, attributes)
            os.fchmod(target, stat.S_IMODE(status.st_mode))
            os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))
        return


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


def _write(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]


def _write_with_holes(descriptor: int, views: Iterable[memoryview], size: int) -> None:
    for view in views:
        start = 0
        for position in range(0, len(view) - _HOLE + 1, _HOLE):
            # Looking at one byte first keeps this free for files without zeros.
            if view[position] == 0 and view[position : position + _HOLE] == _ZEROS:
                if position > start:
                    _write(descriptor, view[start:position])
                os.lseek(descriptor, _HOLE, os.SEEK_CUR)
                start = position + _HOLE
        _write(descriptor, view[start:])
    os.ftruncate(descriptor, size)


def _write_parts(descriptor: int, views: Iterable[memoryview], entry: Entry) -> None:
    """The stored parts of a sparse file, each to its place."""
    parts = iter(entry.sparse or [])
    left = 0
    for view in views:
        while view:
            while not left:
                offset, left = next(parts)
                os.lseek(descriptor, offset, os.SEEK_SET)
            _write(descriptor, view[:left])
            taken = min(left, len(view))
            view = view[taken:]
            left -= taken
    os.ftruncate(descriptor, entry.size)


def set_directory(descriptor: int, entry: Entry) -> None:
    """Give a directory what its entry says of it. Raises OSError."""
    os.fchown(descriptor, entry.uid, entry.gid)
    if entry.xattrs:
        set_attributes(descriptor, entry.xattrs)
    os.fchmod(descriptor, entry.mode & 0o7777)
    os.utime(descriptor, ns=(entry.mtime, entry.mtime))


def set_attributes(target: int | bytes, attributes: dict[bytes, bytes]) -> None:
    for name, value in attributes.items():
        if name.startswith(whiteout.OVERLAY_ATTRIBUTES):
            continue
        try:
            os.setxattr(target, name, value)
        except OSError as error:
            # As Docker: a file system without them is no reason to refuse an image, and users'
            # attributes exist on files and directories only.
            if error.errno != errno.ENOTSUP and not (
                error.errno == errno.EPERM and name.startswith(b"user.")
            ):
                raise
