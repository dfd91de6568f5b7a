"""Where a build's files come from when they are the client's, or somewhere else on its word."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from argosy.api.buildkit.connection import RpcError
from argosy.api.buildkit.session import Session
from argosy.api.buildkit.transfer import Hostile, Receiver
from argosy.api.buildkit.trees import Trees
from argosy.build import ignore
from argosy.build.contexts import Context
from argosy.build.files import FileDigests
from argosy.build.graph import Graph
from argosy.build.intake import Intake
from argosy.build.layout import Layout
from argosy.build.progress import Progress, StepProgress
from argosy.build.vertex import CopyVertex, Origin, RunVertex
from argosy.errors import ArgosyError, InvalidParameter
from argosy.image import digest as digests
from argosy.image.pieces import Stream

IGNORE = ".dockerignore"
_DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
_UPLOAD_HOST = "buildkit-session"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Source:
    """The client's directories, received when they are asked for."""

    def __init__(self, session: Session, trees: Trees, digests: FileDigests, progress: Progress) -> None:
        self._session = session
        self._trees = trees
        self._digests = digests
        self._progress = progress

    @contextlib.contextmanager
    def files(self, name: str, paths: Sequence[str], step: StepProgress, label: str) -> Iterator[Context]:
        """A few files of the client's directory `name`, for the length of a `with`."""
        key = self._key(name, ",".join(paths))
        path = self._received(key, name, {"followpaths": paths}, step, label)
        context = Context(path)
        try:
            yield context
        finally:
            context.close()
            self._trees.give_back(key, path)

    def ignored(self, name: str, title: str) -> ignore.Ignore | None:
        """What the directory's .dockerignore says. Raises DockerfileError."""
        with (
            self._progress.begin(f"{title} load {IGNORE}") as step,
            self.files(name, [IGNORE], step, "context") as found,
        ):
            try:
                with open(
                    os.open(IGNORE, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=found.descriptor), "rb"
                ) as file:
                    return ignore.Ignore(ignore.read(file.read()))
            except OSError:
                return None

    def directory(
        self, name: str, context: str, title: str, excluded: ignore.Ignore | None, key: str = ""
    ) -> "Received":
        """All of it that a build takes, as its context `context`; known again by `key`, if given."""
        key = key or self._key(name, context)

        def fetch(paths: Sequence[str], progress: Progress) -> str:
            metadata: dict[str, Sequence[str]] = {}
            if excluded is not None and excluded.patterns:
                metadata["exclude-patterns"] = [
                    f"{'!' if each.is_exception else ''}{each.text}" for each in excluded.patterns
                ]
            if paths:
                metadata["followpaths"] = paths
            with progress.begin(title) as step:
                return self._received(key, name, metadata, step, "context")

        return Received(
            context,
            fetch,
            lambda path: self._trees.give_back(key, path),
            excluded,
            self._digests,
            self._progress,
        )

    def _key(self, name: str, purpose: str) -> str:
        # A client without a key has nothing to recognise it by.
        return f"{self._session.shared_key or self._session.id}\0{name}\0{purpose}"

    def _received(
        self, key: str, name: str, metadata: dict[str, Sequence[str]], step: StepProgress, label: str
    ) -> str:
        path = self._trees.borrow(key)
        title = f"transferring {label}:"
        try:
            root = os.open(path, _DIRECTORY)
            try:
                call = self._session.call(_DIFF_COPY, {"dir-name": [name], **metadata})
                receiver = Receiver(call, root, _every_so_often(step, title))
                step.count(title, receiver.run(), done=True)
            finally:
                os.close(root)
        except BaseException:
            self._trees.discard(path)
            raise
        return path


def _every_so_often(step: StepProgress, title: str) -> Callable[[int], object]:
    told = 0

    def count(size: int) -> None:
        nonlocal told
        if size - told > 1 << 20:
            told = size
            step.count(title, size)

    return count


class Received(Context):
    """A directory that comes when a step needs it, and of it only what the steps name."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[Sequence[str], Progress], str],
        give_back: Callable[[str], object],
        excluded: ignore.Ignore | None,
        digests: FileDigests,
        progress: Progress,
    ) -> None:
        super().__init__("", excluded, digests, self._returned)
        self._progress = progress
        self._name = name
        self._fetch = fetch
        self._give_back = give_back
        self._graph: Callable[[], Graph | None] = lambda: None

    def begin(self, progress: Progress, graph: Callable[[], Graph | None]) -> None:
        self._progress, self._graph = progress, graph

    @property
    def descriptor(self) -> int:
        with self._lock:
            if not self.path:
                try:
                    self.path = self._fetch(self._paths(), self._progress)
                except OSError as error:
                    raise ArgosyError(f"failed to receive the build context: {error}") from error
                except (RpcError, Hostile) as error:
                    raise InvalidParameter(f"failed to receive the build context: {error.message}") from error
            return super().descriptor

    def _returned(self) -> None:
        if self.path:
            self._give_back(self.path)
            self.path = ""

    def _paths(self) -> list[str]:
        """What the build's steps take from it; nothing if that is everything."""
        graph = self._graph()
        found: set[str] = set()
        for vertex in graph.vertices if graph is not None else ():
            if isinstance(vertex, CopyVertex) and _is_from(vertex.origin, self._name):
                found.update(vertex.sources)
            elif isinstance(vertex, RunVertex):
                found.update(
                    each.mount.source
                    for each in vertex.attachments
                    if each.origin is not None and _is_from(each.origin, self._name)
                )
        cleaned = {os.path.normpath("/" + path).strip("/") for path in found}
        return [] if "" in cleaned else sorted(cleaned)


def _is_from(origin: Origin, name: str) -> bool:
    return origin.vertex is None and origin.context == name


def remote(url: str, session: Session, intake: Intake, *, keep_git: bool = False) -> Context:
    """A git repository, a tar, or what the client has on its standard input."""
    parts = urlsplit(url)
    if parts.hostname == _UPLOAD_HOST:
        return intake.tar(Stream(session.pull(parts.netloc, parts.path)))
    return intake.remote(url, keep_git=keep_git)


def layout(place: str, session: Session) -> Layout:
    """An image in a layout of the client's: `oci-layout://STORE:TAG@DIGEST`. Raises InvalidParameter."""
    name, _, digest = place.removeprefix("oci-layout://").partition("@")
    store = name.partition(":")[0]
    return Layout(digests.checked(digest), lambda blob: session.content(f"oci:{store}", blob))


def refused(name: str, place: str) -> ArgosyError:
    """Why a named context cannot be had."""
    kind = place.partition(":")[0]
    return InvalidParameter(f"unsupported context source {kind} for {name}")
