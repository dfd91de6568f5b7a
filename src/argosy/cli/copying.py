"""`cp`: an archive of one path, unpacked under the name that the destination asks for.

The rules are those of `cp -a`: a directory that exists takes the source into itself, `SRC/.` stands for the
content of SRC, and a destination that ends with a slash must be a directory. A path on this side that ends
with a slash is followed if it is a symbolic link.
"""

from __future__ import annotations

import base64
import os
import stat
import sys

from argosy.cli.failure import Failure
from argosy.client.docker import quote
from argosy.client.errors import APIError
from argosy.client.transport import READ_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from argosy.client.docker import Client, Document

# Go's io/fs.FileMode.
_DIRECTORY = 1 << 31
_LINK = 1 << 27
_DEVICE = 1 << 26
_STAT = "x-docker-container-path-stat"


class _Target:
    def __init__(self, path: str, *, exists: bool = False, is_directory: bool = False) -> None:
        self.path = path
        self.exists = exists
        self.is_directory = is_directory

    def place(self, source_is_directory: bool) -> tuple[str, str]:
        """Where to unpack, and what the source is called there: as it is if empty. Raises Failure."""
        if self.is_directory:
            return self.path, ""
        if self.exists and source_is_directory:
            raise Failure("cannot copy directory")
        if not self.exists and not source_is_directory and (not self.path or _asks_for_directory(self.path)):
            raise Failure("no such directory")
        return os.path.split(_cleaned(self.path))


def from_container(client: Client, container: str, path: str, target: str, *, follow: bool) -> int:
    """Bytes copied."""
    place = None if target == "-" else _local_target(target)
    name = ""
    if follow:
        found = status(client, container, path)
        if found is not None and found["mode"] & _LINK:
            followed = os.path.join(os.path.dirname(_cleaned(path)), found["linkTarget"])
            name = os.path.basename(path)
            path = followed
    response = client.call("GET", f"/containers/{quote(container)}/archive", {"path": path})
    if place is None:
        return _to_stdout(response.pieces())
    from argosy.image.tree_unpack import unpack

    is_directory = bool(_decoded(response.headers.get(_STAT, "")).get("mode", 0) & _DIRECTORY)
    folder, asked = place.place(is_directory)
    source = _Source(response.pieces())
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # As Docker: everything belongs to whoever copies it.
        owner = os.geteuid(), os.getegid()
        named = os.fsencode(asked or name)
        unpack(root, "", source, keep_kinds=True, owner=owner, name=named, called=folder)
    finally:
        os.close(root)
    return source.size


def _to_stdout(pieces: Iterator[bytes]) -> int:
    if sys.stdout.isatty():
        raise Failure("cowardly refusing to write an archive to a terminal")
    from argosy.client.stdstream import write_all

    size = 0
    for piece in pieces:
        size += len(piece)
        write_all(1, [memoryview(piece)])
    return size


def _local_target(path: str) -> _Target:
    absolute = _absolute(path)
    parent = os.path.dirname(os.path.normpath(absolute))
    if not os.path.exists(parent):
        raise Failure(f'invalid output path: directory "{parent}" does not exist')
    real = os.path.realpath(absolute)
    try:
        mode = os.stat(absolute).st_mode
    except FileNotFoundError:
        parent = os.path.dirname(real)
        if not os.path.exists(parent):
            raise Failure(f"stat {parent}: no such file or directory") from None
        return _Target(real + "/" if _asks_for_directory(absolute) else real)
    except OSError as error:
        raise Failure(f"stat {absolute}: {_reason(error)}") from None
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        raise Failure(
            f'invalid output path: "{absolute}" must be a directory or a regular file: got a device'
        )
    return _Target(real, exists=True, is_directory=stat.S_ISDIR(mode))


def to_container(
    client: Client, source: str, container: str, path: str, *, follow: bool, keep_owner: bool
) -> int:
    """Bytes copied."""
    target = _container_target(client, container, path)
    query: dict[str, object] = {"noOverwriteDirNonDir": "true", "copyUIDGID": keep_owner}
    if source == "-":
        if not target.is_directory:
            raise Failure(f'destination "{container}:{path}" must be a directory')
        from argosy.cli.archive import read_stdin

        return _put(client, container, {**query, "path": target.path}, read_stdin())
    real, name = _local_source(source, follow)
    folder, asked = target.place(stat.S_ISDIR(os.lstat(real).st_mode))
    return _put(client, container, {**query, "path": folder}, _packed(real, asked or name))


def _container_target(client: Client, container: str, path: str) -> _Target:
    found = status(client, container, path) if path else None
    target = path
    if found is not None and found["mode"] & _LINK:
        target = os.path.join(os.path.dirname(_cleaned(path)), found["linkTarget"])
        found = status(client, container, target)
    if found is None:
        return _Target(target)
    if found["mode"] & _DEVICE:
        raise Failure(f'destination "{container}:{path}" must be a directory or a regular file: got a device')
    return _Target(target, exists=True, is_directory=bool(found["mode"] & _DIRECTORY))


def _local_source(path: str, follow: bool) -> tuple[str, str]:
    """The path that is read, which ends with a slash or a dot for a directory itself, and its name."""
    absolute = _absolute(path)
    folder, last = os.path.split(absolute)
    try:
        if follow:
            real = os.path.realpath(absolute, strict=True)
            real += "/." if last == "." else ""
        else:
            real = os.path.join(os.path.realpath(folder, strict=True), last)
        os.lstat(real)
    except NotADirectoryError:
        raise Failure("not a directory") from None
    except OSError as error:
        raise Failure(f"lstat {error.filename}: {_reason(error)}") from None
    return real, last or os.path.basename(folder) or "."


def _packed(path: str, name: str) -> Iterator[bytes]:
    """A tar of what is at the path, written by a thread while it is sent. Raises OSError."""
    import threading

    from argosy.image.tree_tar import TreeTar

    reader, writer = os.pipe()
    failures: list[OSError] = []

    def write() -> None:
        try:
            with open(writer, "wb", buffering=0) as output:
                archive = TreeTar(lambda data: _write_all(output.fileno(), data))
                archive.path(os.fsencode(path), os.fsencode(name))
                archive.finish()
        except BrokenPipeError:
            # The engine has refused it: its answer says why.
            pass
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while data := os.read(reader, READ_SIZE):
            yield data
    finally:
        os.close(reader)
        thread.join()
    if failures:
        raise failures[0]


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _put(client: Client, container: str, query: dict[str, object], pieces: Iterator[bytes]) -> int:
    size = 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for piece in pieces:
            size += len(piece)
            yield piece

    path = f"/containers/{quote(container)}/archive"
    client.call("PUT", path, query, counted(), ("Content-Type: application/x-tar",)).read()
    return size


def status(client: Client, container: str, path: str) -> Document | None:
    """What a path in the container is, or None where there is nothing."""
    try:
        response = client.call("HEAD", f"/containers/{quote(container)}/archive", {"path": path})
    except APIError as error:
        if error.status == 404:
            client.inspect_container(container)
        # Whatever else is wrong, the copy itself says better: an answer to HEAD has no message.
        return None
    response.read()
    return _decoded(response.headers.get(_STAT, ""))


def _decoded(header: str) -> Document:
    from argosy.client import fastjson

    document: Document = fastjson.loads(base64.b64decode(header)) if header else {}
    return document


def _absolute(path: str) -> str:
    """Cleaned, but a slash or a dot at the end stays."""
    absolute = os.path.abspath(path)
    if path == "." or path.endswith("/."):
        return os.path.join(absolute, ".")
    return os.path.join(absolute, "") if path.endswith("/") else absolute


def _cleaned(path: str) -> str:
    """Without a slash at the end; a dot stays."""
    cleaned = os.path.normpath(path)
    return os.path.join(cleaned, ".") if path == "." or path.endswith("/.") else cleaned


def _asks_for_directory(path: str) -> bool:
    return path.endswith(("/", "/.")) or path == "."


def _reason(error: OSError) -> str:
    return (error.strerror or "").lower()


class _Source:
    """The pieces of a body as `unpack` reads them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.size = 0

    def read(self, size: int, /) -> bytes:
        data = self._rest or next(self._pieces, b"")
        self._rest = data[size:]
        data = data[:size]
        self.size += len(data)
        return data
