"""ADD of what is elsewhere: a file by HTTP, or a git repository."""

import email.utils
import hashlib
import os
import posixpath
import re
import tempfile
from urllib.parse import unquote, urlsplit

from argosy.build.complain import DockerfileError
from argosy.build.files import FileDigests, Files
from argosy.build.git import clone, is_git
from argosy.build.lay import Attributes, Layer
from argosy.build.select import select
from argosy.build.vertex import CopyVertex
from argosy.image.decompress import open_decompressed
from argosy.image.transport import Transport, release
from argosy.linux.remove_tree import discard_tree

_CHUNK = 1 << 20


class Fetched:
    """Something fetched, in a directory of its own until it is closed."""

    def __init__(self, directory: str, digest: str, name: str, mtime: int, *, is_tree: bool) -> None:
        self._directory = directory
        self.digest = digest
        self._name = name
        self._mtime = mtime
        self._is_tree = is_tree

    def close(self) -> None:
        discard_tree(self._directory)

    def lay(self, layer: Layer, vertex: CopyVertex, attributes: Attributes) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            files = Files(descriptor, FileDigests(), anonymous=True)
            if self._is_tree:
                layer.transfer(select(files, ["."], exclude=vertex.exclude), vertex.destination, attributes)
            elif vertex.unpack:
                with open(os.path.join(self._directory, self._name), "rb") as file:
                    layer.archive(open_decompressed(file), vertex.destination, attributes)
            else:
                layer.transfer(select(files, [self._name]), vertex.destination, attributes)
        finally:
            os.close(descriptor)


def without_password(url: str) -> str:
    """As it may be shown."""
    before, at, after = url.partition("@")
    return f"{before.partition('//')[0]}//{after}" if at and "//" in before else url


def fetch(url: str, vertex: CopyVertex) -> Fetched:
    """Raises DockerfileError, TransportError."""
    directory = tempfile.mkdtemp(prefix="argosy-fetch-")
    try:
        if is_git(url):
            commit = clone(url, directory, keep_git=vertex.keep_git_dir, checksum=vertex.checksum)
            return Fetched(directory, f"{commit}{'+git' if vertex.keep_git_dir else ''}", "", 0, is_tree=True)
        return _download(url, directory, vertex)
    except BaseException:
        discard_tree(directory)
        raise


def _download(url: str, directory: str, vertex: CopyVertex) -> Fetched:
    transport = Transport()
    response = transport.request("GET", url, {})
    try:
        if response.status != 200:
            raise DockerfileError(
                f"failed to load {url}: server answered {response.status} {response.reason}"
            )
        name = _name_of(url, response.headers.get("Content-Disposition", ""), vertex.destination)
        hasher = hashlib.sha256()
        path = os.path.join(directory, name)
        with open(path, "xb") as file:
            while data := response.read(_CHUNK):
                hasher.update(data)
                file.write(data)
        modified = response.headers.get("Last-Modified", "")
    finally:
        release(response)
        transport.close()
    digest = f"sha256:{hasher.hexdigest()}"
    if vertex.checksum and vertex.checksum != digest:
        raise DockerfileError(
            f"digest mismatch {digest}: {vertex.checksum}", hint=f"{url} is not what --checksum says it is."
        )
    os.chmod(path, 0o600)
    mtime = _moment(modified)
    os.utime(path, ns=(mtime, mtime))
    return Fetched(directory, digest, name, mtime, is_tree=False)


def _moment(text: str) -> int:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp()) * 1_000_000_000
    except (TypeError, ValueError):
        return 0


def _name_of(url: str, disposition: str, destination: str) -> str:
    found = re.search(r'filename="?([^";]+)"?', disposition)
    name = posixpath.basename(found[1] if found else unquote(urlsplit(url).path))
    if not name or name in (".", ".."):
        if destination.endswith("/"):
            raise DockerfileError(f"cannot determine filename for source {url}")
        name = posixpath.basename(destination) or "file"
    return name.replace("\0", "")
