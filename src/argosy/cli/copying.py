"""`cp`: an archive of one path, unpacked under the name that the destination asks for.

The rules are those of `cp -a`: a directory that exists takes the source into itself, `SRC/.` stands for the
content of SRC, and a destination that ends with a slash must be a directory.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import tarfile

from argosy.cli.failure import Failure
from argosy.client.docker import quote
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from argosy.client.docker import Client, Document

_DIRECTORY = 1 << 31
_LINK = 1 << 27
_STAT = "x-docker-container-path-stat"


def from_container(client: Client, container: str, path: str, target: str, *, follow: bool) -> int:
    """Bytes copied."""
    if follow:
        found = stat(client, container, path)
        if found is not None and found["mode"] & _LINK and found.get("linkTarget"):
            path = os.path.join(os.path.dirname(path), found["linkTarget"])
    response = client.call("GET", f"/containers/{quote(container)}/archive", {"path": path})
    if target == "-":
        if sys.stdout.isatty():
            raise Failure("cowardly refusing to write an archive to a terminal")
        from argosy.client.stdstream import write_all

        size = 0
        for piece in response.pieces():
            size += len(piece)
            write_all(1, [memoryview(piece)])
        return size
    information = _decode(response.headers.get(_STAT, ""))
    is_directory = bool(information.get("mode", 0) & _DIRECTORY)
    name = _destination(target, information.get("name", ""), is_directory, contents=path.endswith("/."))
    stream = _Reader(response.pieces())
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        _extract(archive, name)
    return stream.size


def _destination(target: str, source_name: str, is_directory: bool, *, contents: bool) -> str:
    """The path that the archive's first entry becomes."""
    if os.path.isdir(target):
        return target if contents else os.path.join(target, source_name)
    if is_directory and os.path.exists(target):
        raise Failure("cannot copy directory")
    if not is_directory and target.endswith("/"):
        raise Failure("destination directory must exist")
    parent = os.path.dirname(target.rstrip("/")) or "."
    if not os.path.isdir(parent):
        raise Failure(f'invalid output path: directory "{parent}" does not exist')
    return target.rstrip("/")


def _extract(archive: tarfile.TarFile, name: str) -> None:
    """Every entry below the first one's name, which becomes `name`; nothing may lead out of it."""
    folder, base = os.path.split(name)
    first: str | None = None
    for entry in archive:
        path = entry.name.strip("/")
        first = path.partition("/")[0] if first is None else first
        rest = path.partition("/")[2]
        entry.name = os.path.join(base or ".", rest) if rest else base or "."
        if entry.islnk():
            entry.linkname = os.path.join(base, entry.linkname.strip("/").partition("/")[2])
        archive.extract(entry, folder or ".", filter=_contained, set_attrs=True)


def _contained(entry: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    # Symbolic links are copied as they are, absolute ones too; following one out of the tree is refused.
    if not entry.issym():
        entry = tarfile.tar_filter(entry, folder)
    return entry


def to_container(
    client: Client, source: str, container: str, path: str, *, follow: bool, keep_owner: bool
) -> int:
    """Bytes copied."""
    query = {"path": path, "noOverwriteDirNonDir": "true", "copyUIDGID": keep_owner}
    if source == "-":
        found = stat(client, container, path)
        if found is not None and not found["mode"] & _DIRECTORY:
            raise Failure(f'destination "{container}:{path}" must be a directory')
        from argosy.cli.archive import read_stdin

        return _put(client, container, query, read_stdin())
    if not os.path.lexists(source):
        raise Failure(f"lstat {os.path.abspath(source)}: no such file or directory")
    real = os.path.realpath(source) if follow else source
    is_directory = os.path.isdir(real) and not (os.path.islink(real.rstrip("/")) and not real.endswith("/"))
    found = stat(client, container, path)
    if found is not None and found["mode"] & _LINK and found.get("linkTarget"):
        path = os.path.join(os.path.dirname(path), found["linkTarget"])
        found = stat(client, container, path)
    into = found is not None and bool(found["mode"] & _DIRECTORY)
    if into:
        contents = source.endswith("/.") or source == "."
        query["path"], name = path, "." if contents else os.path.basename(os.path.abspath(source))
    else:
        if found is None and path.endswith("/") and not is_directory:
            raise Failure(f"no such directory: {container}:{path}")
        if found is not None and is_directory:
            raise Failure("cannot copy directory")
        query["path"] = os.path.dirname(path.rstrip("/")) or "/"
        name = os.path.basename(path.rstrip("/"))
    return _put(client, container, query, _pack(real, name))


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


def _pack(path: str, name: str) -> Iterator[bytes]:
    """A tar archive of the path, an entry at a time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        pending = [(path.rstrip("/") or "/", name)]
        while pending:
            real, shown = pending.pop()
            archive.add(real, shown, recursive=False)
            yield _taken(buffer)
            if os.path.isdir(real) and not (os.path.islink(real) and real != path):
                pending += [
                    (os.path.join(real, item), os.path.join(shown, item)) for item in os.listdir(real)
                ]
    yield _taken(buffer)


def _taken(buffer: io.BytesIO) -> bytes:
    data = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return data


def stat(client: Client, container: str, path: str) -> Document | None:
    """What a path in the container is, or None where there is nothing."""
    try:
        response = client.call("HEAD", f"/containers/{quote(container)}/archive", {"path": path})
    except APIError as error:
        if error.status == 404:
            client.inspect_container(container)
        # Whatever else is wrong, the copy itself says better: an answer to HEAD has no message.
        return None
    response.read()
    return _decode(response.headers.get(_STAT, ""))


def _decode(header: str) -> Document:
    document: Document = json.loads(base64.b64decode(header)) if header else {}
    return document


class _Reader(io.RawIOBase):
    """The pieces of a body as a file, for `tarfile`'s streaming mode."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""
        self.size = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            have += len(piece)
        data = b"".join(parts)
        cut = len(data) if size < 0 else size
        data, self._rest = data[:cut], data[cut:]
        self.size += len(data)
        return data
