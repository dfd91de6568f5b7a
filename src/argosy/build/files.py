"""A directory tree that COPY and ADD take from: a build context, or the root of another stage.

Nothing is copied to be looked at. Directories are listed when they are asked for and remembered for the
length of a build. Whoever owns the tree may change it meanwhile: every path is resolved with the tree's
root as its root, files are opened without following what has taken their place, and a file's digest is
taken from the bytes that are used.

A digest covers what BuildKit's covers: type, mode, owner, extended attributes and contents, and no times.
Contents that were read once are known by device, inode, size, mtime and ctime, and not read again.
"""

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from argosy.build.ignore import Ignore
from argosy.errors import InvalidParameter
from argosy.image.whiteout import is_carried
from argosy.linux.path import O_PATH, open_in_root

_CHUNK = 1 << 20
_LINKS = 255
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What changed so recently may change again without its times showing it: the kernel's clock for files
# ticks every 4 ms at best, and ten times slower at worst.
_RECENT_NANOSECONDS = 50_000_000


class Status(NamedTuple):
    """Of a file, times in nanoseconds. Comparing two says whether the contents may differ."""

    mode: int
    uid: int
    gid: int
    size: int
    device: int
    inode: int
    mtime: int
    ctime: int
    rdev: int
    links: int

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)


class FileDigests:
    """Digests of contents that were read before. Thread-safe."""

    _MAXIMUM = 1_000_000

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[Status, bytes]] = {}
        self._lock = threading.Lock()

    def get(self, status: Status) -> bytes | None:
        known = self._known.get((status.device, status.inode))
        if known is None:
            return None
        found, digest = known
        same = found.size == status.size and found.mtime == status.mtime and found.ctime == status.ctime
        return digest if same else None

    def put(self, status: Status, digest: bytes) -> None:
        if time.time_ns() - max(status.mtime, status.ctime) < _RECENT_NANOSECONDS:
            return
        with self._lock:
            if len(self._known) >= self._MAXIMUM:
                self._known.clear()
            self._known[status.device, status.inode] = status, digest


def status_of(result: os.stat_result) -> Status:
    return Status(
        result.st_mode,
        result.st_uid,
        result.st_gid,
        result.st_size,
        result.st_dev,
        result.st_ino,
        result.st_mtime_ns,
        result.st_ctime_ns,
        result.st_rdev,
        result.st_nlink,
    )


class Files:
    """Paths are relative to the root, with slashes, "" for the root itself. For one thread at a time."""

    def __init__(
        self, root: int, digests: FileDigests, *, ignore: Ignore | None = None, anonymous: bool = False
    ) -> None:
        """`root` is a directory's descriptor, the caller's. `anonymous`: owners and extended attributes
        are not taken over, as from a build context."""
        self.root = root
        self.ignore = ignore if ignore and ignore.patterns else None
        self.anonymous = anonymous
        self._digests = digests
        # Directories that were not looked into, since nothing in them is to be seen.
        self.skipped: list[str] = []
        self._listings: dict[str, list[tuple[str, Status]]] = {}

    def lookup(self, path: str) -> tuple[str, Status] | None:
        """Where `path` leads, links followed, and what is there; None if nothing is, or it is hidden."""
        resolved = self.resolve(path)
        status = self.status(resolved)
        return None if status is None else (resolved, status)

    def resolve(self, path: str) -> str:
        """Every link on the way is followed, the last one too; what is missing is left as it stands."""
        return follow(path, self._link)

    def status(self, path: str) -> Status | None:
        if not path:
            return self._rootless(os.fstat(self.root))
        if self.ignore is not None and self.ignore.excluded(path) and not self._holds_something(path):
            return None
        found = self._stat(path)
        return None if found is None else self._rootless(found)

    def exists_hidden(self, path: str) -> bool:
        """Whether only the ignore file keeps it away."""
        return self._stat(path) is not None and self.status(path) is None

    def listing(self, path: str) -> list[tuple[str, Status]]:
        """(name, status) of what is in a directory, by name."""
        found = self._listings.get(path)
        if found is None:
            found = self._listings[path] = self._listed(path)
        return found

    def walk(self, path: str) -> Iterator[tuple[str, Status]]:
        """All that is below a directory, parents first."""
        pending = [path]
        while pending:
            directory = pending.pop()
            prefix = f"{directory}/" if directory else ""
            below = []
            for name, status in self.listing(directory):
                inner = prefix + name
                yield inner, status
                if stat.S_ISDIR(status.mode):
                    below.append(inner)
            pending += reversed(below)

    def link(self, path: str) -> str:
        target = self._link(path)
        if target is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return target

    def open(self, path: str, status: Status) -> int:
        """A regular file, still the one that `status` is of. Raises InvalidParameter if it has changed."""
        descriptor = open_in_root(self.root, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InvalidParameter(f"{path} has changed while it was being read")
        return descriptor

    def attributes(self, path: str) -> dict[bytes, bytes]:
        """The extended attributes that are taken over."""
        if self.anonymous:
            return {}
        descriptor = open_in_root(self.root, path, O_PATH | os.O_NOFOLLOW)
        try:
            return extended_attributes(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)

    def content_digest(self, path: str, status: Status) -> bytes:
        """sha256 of a regular file's contents, as bytes."""
        known = self._digests.get(status)
        if known is None:
            descriptor = self.open(path, status)
            try:
                before = status_of(os.fstat(descriptor))
                known = digest_of(descriptor)
                self._digests.put(before, known)
            finally:
                os.close(descriptor)
        return known

    def _rootless(self, result: os.stat_result) -> Status:
        status = status_of(result)
        return status._replace(uid=0, gid=0) if self.anonymous else status

    def _stat(self, path: str) -> os.stat_result | None:
        try:
            descriptor = open_in_root(self.root, path, O_PATH | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
                return None
            raise
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _link(self, path: str) -> str | None:
        try:
            descriptor = open_in_root(self.root, path, O_PATH | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                return None
            return os.readlink("", dir_fd=descriptor)
        finally:
            os.close(descriptor)

    def _holds_something(self, path: str) -> bool:
        """Of a directory that is excluded: whether something in it is not."""
        assert self.ignore is not None
        found = self._stat(path)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return False
        if self.ignore.may_skip_directory(path):
            self.skipped.append(path)
            return False
        return bool(self.listing(path))

    def _listed(self, path: str) -> list[tuple[str, Status]]:
        descriptor = open_in_root(self.root, path, _DIRECTORY)
        try:
            return self._entries(descriptor, path)
        finally:
            os.close(descriptor)

    def _entries(self, descriptor: int, path: str) -> list[tuple[str, Status]]:
        ignore, anonymous = self.ignore, self.anonymous
        prefix = f"{path}/" if path else ""
        found: list[tuple[str, Status]] = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                if ignore is not None and ignore.excluded(prefix + name):
                    shown = entry.is_dir(follow_symlinks=False) and self._holds_something(prefix + name)
                    if not shown:
                        continue
                try:
                    s = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISSOCK(s.st_mode):
                    continue
                uid, gid = (0, 0) if anonymous else (s.st_uid, s.st_gid)
                status = Status(
                    s.st_mode,
                    uid,
                    gid,
                    s.st_size,
                    s.st_dev,
                    s.st_ino,
                    s.st_mtime_ns,
                    s.st_ctime_ns,
                    s.st_rdev,
                    s.st_nlink,
                )
                found.append((name, status))
        found.sort()
        return found


def follow(path: str, link_of: Callable[[str], str | None]) -> str:
    """Where a path leads in a tree, never out of its root. `link_of` gives a link's target, None for others.

    Raises InvalidParameter for links that lead round and round.
    """
    pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    done: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            done = done[:-1]
            continue
        target = link_of("/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _LINKS:
            raise InvalidParameter(f"too many symbolic links in {path}")
        done = [] if target.startswith("/") else done
        pending += [each for each in reversed(target.split("/")) if each not in ("", ".")]
    return "/".join(done)


def digest_of(descriptor: int) -> bytes:
    hasher = hashlib.sha256()
    while data := os.read(descriptor, _CHUNK):
        hasher.update(data)
    return hasher.digest()


def extended_attributes(path: str) -> dict[bytes, bytes]:
    try:
        names = [name for name in os.listxattr(path) if is_carried(os.fsencode(name))]
        return {os.fsencode(name): os.getxattr(path, name) for name in names}
    except OSError as error:
        # No such attributes there, or a link, which has none that are taken over.
        if error.errno in (errno.ENOTSUP, errno.ENODATA, errno.EBADF, errno.ELOOP):
            return {}
        raise
