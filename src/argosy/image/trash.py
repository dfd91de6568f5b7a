"""Deleting in the background: out of the way at once by a rename, gone soon."""

import os
import queue
import threading
from collections.abc import Callable

from argosy.linux.remove_tree import remove_tree


class Trash:
    """Thread-safe. `path` must be on the file system of what is thrown away."""

    def __init__(self, path: str) -> None:
        self._path = path
        os.makedirs(path, mode=0o700, exist_ok=True)
        for name in os.listdir(path):
            remove_tree(os.path.join(path, name))
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._run, name="trash", daemon=True)
        self._worker.start()

    def discard(self, directory: str) -> None:
        target = os.path.join(self._path, os.urandom(12).hex())
        os.rename(directory, target)
        self._work.put(lambda: remove_tree(target))

    def later(self, job: Callable[[], object]) -> None:
        """Do something else in the background, in turn. It may fail with OSError, unnoticed."""
        self._work.put(job)

    def close(self) -> None:
        self._work.put(None)
        self._worker.join()

    def _run(self) -> None:
        while (job := self._work.get()) is not None:
            try:
                job()
            except OSError:
                # What stays in the trash, the next start empties.
                continue
