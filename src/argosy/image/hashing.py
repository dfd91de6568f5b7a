"""SHA-256 beside other work: a thread of its own hashes what is large."""

import hashlib
import queue
import threading

# What is smaller is hashed before a thread would have started.
_THREAD_FROM = 4 << 20
_AHEAD = 8


class Hasher:
    """For one thread at a time. `close` it if it may not be asked for its digest."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._work: queue.Queue[bytes | memoryview | None] | None = None
        self._thread: threading.Thread | None = None

    def update(self, data: bytes | memoryview) -> None:
        """`data` must not change any more."""
        self._size += len(data)
        if self._work is not None:
            self._work.put(data)
        elif self._size < _THREAD_FROM:
            self._hash.update(data)
        else:
            self._work = queue.Queue(_AHEAD)
            self._thread = threading.Thread(target=self._run, args=(self._work,), name="hash", daemon=True)
            self._thread.start()
            self._work.put(data)

    @property
    def digest(self) -> str:
        """Of what there has been so far. Waits for it."""
        self.close()
        return "sha256:" + self._hash.hexdigest()

    def close(self) -> None:
        """Idempotent; `update` may follow."""
        if self._work is not None and self._thread is not None:
            self._work.put(None)
            self._thread.join()
            self._work = self._thread = None

    def _run(self, work: "queue.Queue[bytes | memoryview | None]") -> None:
        while (data := work.get()) is not None:
            self._hash.update(data)
