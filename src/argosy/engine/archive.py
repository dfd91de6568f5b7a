"""Copying into and out of containers: a path in one as a tar, a tar unpacked at one, and what is at one.

A path's directory is resolved with the container's root as its root; what its last name says is then taken
as it is, a symbolic link too, unless it ends with a slash (moby `container.ResolvePath`).
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.identities import identity
from argosy.engine.root_view import in_root
from argosy.errors import ArgosyError, InvalidParameter, NotFound
from argosy.image.decompress import open_decompressed
from argosy.image.tar import Source
from argosy.image.tree_tar import TreeTar
from argosy.image.tree_unpack import unpack
from argosy.linux.path import DIRECTORY, O_PATH, open_in_root, resolve_in_root
from argosy.runtime import users
from argosy.spec.docker_container import PathStat
from argosy.units import rfc3339

Write = Callable[[bytes], object]
# Go's io/fs.FileMode.
_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


class _Place(NamedTuple):
    """`name` in the directory `parent` is it; without a name, `parent` itself. `shown`: how it is called."""

    parent: int
    name: str
    shown: str
    path: str

    def status(self) -> os.stat_result:
        if not self.name:
            return os.fstat(self.parent)
        return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)


async def stat_path(engine: Engine, container: Container, path: str, called: str) -> PathStat:
    """`called` is the container's name in errors. Raises NotFound, InvalidParameter."""

    def work(root: int) -> PathStat:
        with _found(root, path, called) as place:
            return _describe(root, place)

    return await in_root(engine, container, work)


async def read_path(
    engine: Engine,
    container: Container,
    path: str,
    called: str,
    begin: Callable[[PathStat], Write],
    end: Callable[[], object],
) -> None:
    """`begin` is told, in the working thread, what it is and returns what takes the tar; `end` comes last.
    Raises as above."""

    def work(root: int) -> None:
        with _found(root, path, called) as place:
            write = begin(_describe(root, place))
            archive = TreeTar(write)
            shown = os.fsencode(place.shown)
            if place.name:
                archive.entry(place.parent, os.fsencode(place.name), shown)
            else:
                directory = os.open(f"/proc/self/fd/{place.parent}", DIRECTORY & ~os.O_NOFOLLOW)
                try:
                    archive.directory(directory, shown.removesuffix(b"/") + b"/")
                finally:
                    os.close(directory)
            archive.finish()
            end()

    await in_root(engine, container, work)


async def write_path(
    engine: Engine,
    container: Container,
    path: str,
    called: str,
    source: Source,
    *,
    keep_kinds: bool,
    as_user: bool,
) -> None:
    """`source`: a tar, which may be compressed. `as_user`: it is to belong to the container's user.

    Raises as above.
    """

    def work(root: int) -> None:
        with _found(root, path, called) as place:
            resolved = resolve_in_root(root, f"{place.path}/{place.name}")
        _require_directory(root, resolved, path, called)
        _require_writable(container, resolved)
        owner = _owner(root, container) if as_user else None
        archive = open_decompressed(source)
        # What has to be read to inflate it is there before this thread leaves the host's root.
        unpack(root, resolved, archive, keep_kinds=keep_kinds, owner=owner, confined=True)

    await in_root(engine, container, work)


async def export(
    engine: Engine, container: Container, begin: Callable[[], Write], end: Callable[[], object]
) -> None:
    """The whole root, without what is mounted in it. `begin` and `end`: see `read_path`. Raises NotFound."""

    def work(root: int) -> None:
        archive = TreeTar(begin())
        directory = open_in_root(root, "/", os.O_RDONLY | os.O_DIRECTORY)
        try:
            archive.contents(directory, b"")
        finally:
            os.close(directory)
        archive.finish()
        end()

    await in_root(engine, container, work, volumes=False)


@contextmanager
def _found(root: int, path: str, called: str) -> Iterator[_Place]:
    """Raises NotFound, ArgosyError."""
    absolute = _absolute(path)
    directory, _, name = absolute.rpartition("/")
    shown = "." if name == "." else os.path.basename(absolute.rstrip("/")) or "/"
    try:
        parent = open_in_root(root, directory or "/", O_PATH | os.O_DIRECTORY)
        try:
            place = _Place(
                parent, "" if name in ("", ".") else name, shown, resolve_in_root(root, directory or "/")
            )
            place.status()
            yield place
        finally:
            os.close(parent)
    except FileNotFoundError:
        raise _missing(path, called) from None
    except NotADirectoryError:
        raise ArgosyError(f"lstat {absolute}: not a directory") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ArgosyError(f"lstat {absolute}: too many levels of symbolic links") from None


def _absolute(path: str) -> str:
    """Cleaned, but a slash or a dot at the end stays: it asks for the directory itself."""
    cleaned = os.path.normpath("/" + path).replace("//", "/")
    if path.endswith("/.") or path == ".":
        return cleaned.rstrip("/") + "/."
    return cleaned + "/" if path.endswith("/") and cleaned != "/" else cleaned


def _describe(root: int, place: _Place) -> PathStat:
    status = place.status()
    mode = stat.S_IMODE(status.st_mode) & 0o777 | _GO_KINDS.get(stat.S_IFMT(status.st_mode), 0)
    mode |= sum(bit for flag, bit in _GO_BITS if status.st_mode & flag)
    target = ""
    if stat.S_ISLNK(status.st_mode):
        target = resolve_in_root(root, f"{place.path}/{place.name}")
    return PathStat(place.shown, status.st_size, mode, rfc3339(status.st_mtime_ns), target)


def _require_directory(root: int, resolved: str, path: str, called: str) -> None:
    try:
        os.close(open_in_root(root, resolved, O_PATH | os.O_DIRECTORY))
    except FileNotFoundError:
        raise _missing(path, called) from None
    except NotADirectoryError:
        raise InvalidParameter("extraction point is not a directory") from None


def _missing(path: str, called: str) -> NotFound:
    return NotFound(f"Could not find the file {path} in container {called}")


def _require_writable(container: Container, path: str) -> None:
    points = [
        point
        for point in container.spec.mounts
        if path == point.destination or path.startswith(point.destination.rstrip("/") + "/")
    ]
    if points:
        if not max(points, key=lambda point: len(point.destination)).rw:
            raise InvalidParameter("mounted volume is marked read-only")
    elif container.spec.host.readonly_rootfs:
        raise InvalidParameter("container rootfs is marked read-only")


def _owner(root: int, container: Container) -> tuple[int, int] | None:
    user = container.spec.config.user
    if not user:
        return None
    try:
        found = identity(root, user)
    except users.UserError as error:
        reason = str(error).rpartition(": ")[2]
        raise InvalidParameter(f'failed to look up user "{user}" in container: {reason}') from None
    return found.uid, found.gid
