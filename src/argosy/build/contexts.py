"""Build contexts: where COPY without --from, and `--build-context` names, take files from."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from argosy.build.files import FileDigests, Files
from argosy.build.graph import Graph
from argosy.build.ignore import Ignore
from argosy.build.progress import Progress
from argosy.errors import InvalidParameter, NotFound


@dataclass(slots=True)
class Context:
    """A directory of this machine, read in place. `path` is "" for none at all.

    What was fetched from a `url` has a `digest`: the file's, or the commit's as `sha1:…`.
    """

    path: str
    ignore: Ignore | None = None
    digests: FileDigests = field(default_factory=FileDigests)
    close_with: Callable[[], object] | None = None
    url: str = ""
    digest: str = ""
    _root: int = -1
    _files: Files | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def files(self) -> Iterator[Files]:
        """One at a time; what was listed stays known until `refresh`."""
        with self._lock:
            if self._files is None:
                self._files = Files(self.descriptor, self.digests, ignore=self.ignore, anonymous=True)
            yield self._files

    @property
    def descriptor(self) -> int:
        with self._lock:
            if self._root < 0:
                self._root = _opened(self.path)
            return self._root

    def begin(self, progress: Progress, graph: Callable[[], Graph | None]) -> None:
        """A build begins. Its graph says what it takes from here; without one, that is everything."""

    def refresh(self) -> None:
        with self._lock:
            self._files = None

    def close(self) -> None:
        with self._lock:
            if self._root >= 0:
                os.close(self._root)
                self._root = -1
            self._files = None
        if self.close_with is not None:
            self.close_with()


def _opened(path: str) -> int:
    if not path:
        raise InvalidParameter(
            "there is no build context", hint="Give a directory: argosy build -f Dockerfile DIRECTORY"
        )
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"unable to prepare context: path {path!r} not found") from None
    except NotADirectoryError:
        raise InvalidParameter(f"unable to prepare context: {path} is no directory") from None
