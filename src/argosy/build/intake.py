"""Contexts as they come in: a directory that is here, a tar from a client, a git repository, a URL.

What comes in over a connection is unpacked below a directory of the builder's, and goes with the build.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from typing import Protocol

from argosy.build import ignore
from argosy.build.complain import DockerfileError, suggestion
from argosy.build.contexts import Context
from argosy.build.files import FileDigests
from argosy.build.git import clone, is_git
from argosy.errors import InvalidParameter
from argosy.image.decompress import Prefixed, open_decompressed
from argosy.image.tar import is_header
from argosy.image.transport import Transport, release
from argosy.image.tree_unpack import unpack
from argosy.linux.path import open_in_root
from argosy.linux.remove_tree import discard_tree

DOCKERFILE = "Dockerfile"
_IGNORE = ".dockerignore"
_LARGEST_DOCKERFILE = 2 << 20
_HEAD = 512
_URL = re.compile(r"https?://")


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Intake:
    """Thread-safe. `root` is the builder's own."""

    def __init__(self, root: str, digests: FileDigests) -> None:
        self._root = root
        self._digests = digests
        # Nothing in it outlives the engine.
        discard_tree(root)
        os.makedirs(root, mode=0o700)

    def directory(self, path: str) -> Context:
        """One of this machine, read in place."""
        return Context(path, digests=self._digests)

    def empty(self) -> Context:
        return self._made(self._new())

    def tar(self, source: Source) -> Context:
        """Unpacked; it may be compressed. Raises InvalidParameter for one that is damaged."""
        return self._filled(lambda path: _unpack(open_decompressed(source), path))

    def remote(self, url: str, *, keep_git: bool = False) -> Context:
        """A git repository, a tar, or a Dockerfile. Raises DockerfileError, TransportError."""
        if is_git(url):
            context = self._filled(lambda path: f"sha1:{clone(url, path, keep_git=keep_git)}")
        elif _URL.match(url):
            context = self._filled(lambda path: _download(url, path))
        else:
            raise InvalidParameter(f"unsupported remote context {url!r}: it is no git repository and no URL")
        context.url = url
        return context

    def _filled(self, fill: Callable[[str], str | None]) -> Context:
        """`fill` says the digest of what it fetched."""
        path = self._new()
        try:
            digest = fill(path) or ""
        except BaseException:
            discard_tree(path)
            raise
        context = self._made(path)
        context.digest = digest
        return context

    def _new(self) -> str:
        return tempfile.mkdtemp(dir=self._root)

    def _made(self, path: str) -> Context:
        # Its files' identities are used again once it is gone: what is known of them must not be.
        return Context(path, digests=FileDigests(), close_with=lambda: discard_tree(path))


def read_dockerfile(context: Context, name: str) -> bytes:
    """Raises DockerfileError if it is not there."""
    try:
        return _read(context, name)
    except FileNotFoundError:
        near = suggestion(name, os.listdir(context.descriptor), ignore_case=True)
        hint = f"There is {near}: build with -f {near}" if near else "Name another with -f"
        raise DockerfileError(
            f"failed to read dockerfile: open {name}: no such file or directory", hint=hint
        ) from None
    except (IsADirectoryError, NotADirectoryError, OSError) as error:
        raise DockerfileError(f"failed to read dockerfile: {name}: {error.strerror}") from None


def read_ignore(context: Context, dockerfile: str) -> ignore.Ignore | None:
    """`NAME.dockerignore` beside the Dockerfile, or else `.dockerignore`. Raises DockerfileError."""
    for name in (f"{dockerfile}{_IGNORE}", _IGNORE):
        try:
            return ignored(_read(context, name))
        except OSError:
            continue
    return None


def ignored(text: bytes | str) -> ignore.Ignore:
    return ignore.Ignore(ignore.read(text))


def _read(context: Context, name: str) -> bytes:
    descriptor = open_in_root(context.descriptor, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "rb") as file:
        data = file.read(_LARGEST_DOCKERFILE + 1)
    if len(data) > _LARGEST_DOCKERFILE:
        raise InvalidParameter(f"{name} is larger than {_LARGEST_DOCKERFILE >> 20} MB")
    return data


def _unpack(source: Source, path: str) -> None:
    root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack(root, "/", source)
    finally:
        os.close(root)


class _Hashed:
    """A source that is hashed as it is read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._hasher = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._hasher.update(data)
        return data

    def finish(self) -> str:
        """Reads what is left. Returns the digest of it all."""
        while self.read(_HEAD << 10):
            pass
        return f"sha256:{self._hasher.hexdigest()}"


def _download(url: str, path: str) -> str:
    """Returns the digest of what came."""
    transport = Transport()
    response = transport.request("GET", url, {})
    try:
        if response.status != 200:
            raise DockerfileError(f"cannot get {url}: server answered {response.status} {response.reason}")
        hashed = _Hashed(response)
        source = open_decompressed(hashed)
        head = b""
        while len(head) < _HEAD and (data := source.read(_HEAD - len(head))):
            head += data
        if is_header(head):
            _unpack(Prefixed(head, source), path)
            return hashed.finish()
        with open(os.path.join(path, DOCKERFILE), "xb") as file:
            file.write(head)
            while data := source.read(_LARGEST_DOCKERFILE):
                file.write(data)
                if file.tell() > _LARGEST_DOCKERFILE:
                    raise InvalidParameter(f"{url} is neither a tar nor a Dockerfile")
        return hashed.finish()
    finally:
        release(response)
        transport.close()
