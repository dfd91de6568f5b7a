"""ADD of what is elsewhere: a file by HTTP, or a git repository."""

import email.utils
import hashlib
import os
import posixpath
import re
import shutil
import subprocess
import tempfile
from urllib.parse import unquote, urlsplit

from argosy.build.complain import DockerfileError
from argosy.build.files import FileDigests, Files
from argosy.build.lay import Attributes, Layer
from argosy.build.select import select
from argosy.build.vertex import CopyVertex
from argosy.errors import ArgosyError
from argosy.image.decompress import open_decompressed
from argosy.image.transport import Transport, release

_CHUNK = 1 << 20
_GIT = re.compile(r"(?:git|ssh)://|git@|https?://[^#?]*\.git(?:[#?]|\Z)")
_GIT_PATIENCE = 600


class Fetched:
    """Something fetched, in a directory of its own until it is closed."""

    def __init__(self, directory: str, digest: str, name: str, mtime: int, *, is_tree: bool) -> None:
        self._directory = directory
        self.digest = digest
        self._name = name
        self._mtime = mtime
        self._is_tree = is_tree

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

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


def is_git(url: str) -> bool:
    return _GIT.match(url) is not None


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
        shutil.rmtree(directory, ignore_errors=True)
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


def clone(url: str, directory: str, *, keep_git: bool = False, checksum: str = "") -> str:
    """A git repository's tree, `URL#ref:subdirectory`. Returns the commit. Raises DockerfileError."""
    address, _, fragment = url.partition("#")
    reference, _, subdirectory = fragment.partition(":")
    if shutil.which("git") is None:
        raise DockerfileError("git is not installed on the engine's machine", hint="apt install git")
    work = os.path.join(directory, ".clone")
    _git(["init", "-q", work])
    _git(["-C", work, "remote", "add", "origin", address])
    _git(["-C", work, "fetch", "-q", "--depth=1", "origin", reference or "HEAD"])
    _git(["-C", work, "-c", "advice.detachedHead=false", "checkout", "-q", "FETCH_HEAD"])
    commit = _git(["-C", work, "rev-parse", "HEAD"]).strip()
    if checksum and not (commit.startswith(checksum) and len(checksum) >= 7):
        raise DockerfileError(f"expected checksum to match {checksum}, got {commit}")
    _git(["-C", work, "submodule", "update", "--init", "--recursive", "--depth=1", "-q"])
    if not keep_git:
        shutil.rmtree(os.path.join(work, ".git"))
    root = os.path.realpath(os.path.join(work, subdirectory))
    if root != work and not root.startswith(work + "/"):
        raise DockerfileError(f"invalid subdirectory {subdirectory} in {url}")
    if not os.path.isdir(root):
        raise DockerfileError(f"there is no directory {subdirectory} in {address}")
    for name in os.listdir(root):
        os.rename(os.path.join(root, name), os.path.join(directory, name))
    shutil.rmtree(work, ignore_errors=True)
    return commit


def _git(words: list[str]) -> str:
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
    }
    # Addresses like ext::command would run whatever they say.
    safe = ["-c", "protocol.ext.allow=never", "-c", "protocol.file.allow=user"]
    try:
        done = subprocess.run(
            ["git", *safe, *words], env=environment, capture_output=True, text=True, timeout=_GIT_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise ArgosyError(f"git {words[-1]} did not end within {_GIT_PATIENCE} s") from None
    if done.returncode:
        raise DockerfileError(f"git failed: {done.stderr.strip() or done.returncode}")
    return done.stdout
