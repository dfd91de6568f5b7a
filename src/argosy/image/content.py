"""The content store: bytes by their digest.

The life of a blob. `ingest` opens a temporary file, which is hashed while it is written; `commit` syncs
it and renames it to its digest, and from then on it never changes. A blob that is there is there whole
and right: committing the same content twice is no error and keeps the first. What `commit` returned is
on the disk. An ingest that is aborted or cut off by a crash leaves nothing: `clean` removes leftovers,
at the start and only then.

Deleting is the collector's business (`gc`): it alone knows what is still wanted.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from types import TracebackType

from argosy.errors import ArgosyError, NotFound
from argosy.image import digest as digests
from argosy.image.durability import start_writeback, sync_directory
from argosy.image.hashing import Hasher

_WRITEBACK = 16 << 20
_LARGE = 8 << 20
CHUNK_SIZE = 1 << 20


class DigestMismatch(ArgosyError):
    """The content is not what its digest says."""


class ContentStore:
    """Thread-safe."""

    def __init__(self, root: str) -> None:
        self._blobs = os.path.join(root, "blobs", "sha256")
        self._ingests = os.path.join(root, "ingest")
        os.makedirs(self._blobs, mode=0o700, exist_ok=True)
        os.makedirs(self._ingests, mode=0o700, exist_ok=True)

    def clean(self) -> None:
        """Remove what an earlier process left half written."""
        for name in os.listdir(self._ingests):
            os.unlink(os.path.join(self._ingests, name))

    def path(self, digest: str) -> str:
        return os.path.join(self._blobs, digests.checked(digest)[7:])

    def exists(self, digest: str) -> bool:
        return os.path.exists(self.path(digest))

    def size(self, digest: str) -> int:
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    def open(self, digest: str) -> "Blob":
        """The blob for reading. It stays readable while open, deleted or not. Raises NotFound."""
        try:
            return Blob(os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            raise _missing(digest) from None

    def read(self, digest: str) -> bytes:
        """A small blob, verified: a document is trusted for what it says. Raises NotFound, DigestMismatch."""
        with self.open(digest) as blob:
            data = blob.read_all()
        if digests.of_bytes(data) != digest:
            raise DigestMismatch(f"content of {digest} is damaged")
        return data

    def verify(self, digest: str) -> bool:
        hasher = hashlib.sha256()
        with self.open(digest) as blob:
            while data := blob.read(CHUNK_SIZE):
                hasher.update(data)
        return "sha256:" + hasher.hexdigest() == digest

    def put(self, data: bytes) -> str:
        """Store a small blob. Idempotent; returns its digest."""
        digest = digests.of_bytes(data)
        if not self.exists(digest):
            with self.ingest() as ingest:
                ingest.write(data)
                ingest.commit()
        return digest

    def ingest(self) -> "Ingest":
        return Ingest(self, os.path.join(self._ingests, os.urandom(12).hex()), self._blobs)

    def delete(self, digest: str) -> int:
        """Idempotent. Returns the bytes set free. The name is gone at once; a large blob's space follows
        within moments, whatever becomes of this process."""
        path = self.path(digest)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        size = os.fstat(descriptor).st_size
        try:
            os.unlink(path)
        except FileNotFoundError:
            size = 0
        if size < _LARGE:
            os.close(descriptor)
        else:
            # The last one to let go of a file waits for every page of it that is cached to be given back.
            threading.Thread(target=os.close, args=(descriptor,), name="argosy-unlink").start()
        return size

    def walk(self) -> Iterator[str]:
        with os.scandir(self._blobs) as entries:
            for entry in entries:
                yield "sha256:" + entry.name


class Blob:
    """A blob open for reading, a `tar.Skippable`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read(self, size: int, /) -> bytes:
        return os.read(self.descriptor, size)

    def skip(self, size: int, /) -> int:
        position = os.lseek(self.descriptor, 0, os.SEEK_CUR)
        skipped = min(size, os.fstat(self.descriptor).st_size - position)
        os.lseek(self.descriptor, skipped, os.SEEK_CUR)
        return skipped

    def read_all(self) -> bytes:
        return b"".join(iter(lambda: self.read(CHUNK_SIZE), b""))

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> "Blob":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Ingest:
    """A blob being written. One thread writes, others may follow. `abort` after `commit` does nothing."""

    def __init__(self, store: ContentStore, path: str, blobs: str) -> None:
        self._store = store
        self._path = path
        self._blobs = blobs
        self._hasher = Hasher()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._written_back = 0
        self._changed = threading.Condition()
        self._ended = False
        self._failure: BaseException | None = None
        self.size = 0

    @property
    def digest(self) -> str:
        """Of what has been written so far."""
        return self._hasher.digest

    def write(self, data: bytes | memoryview) -> None:
        self._hasher.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]
        with self._changed:
            self.size += len(data)
            self._changed.notify_all()
        if self.size - self._written_back >= _WRITEBACK:
            start_writeback(self._descriptor, self._written_back, self.size - self._written_back)
            self._written_back = self.size

    def follow(self) -> "Follower":
        """A reader of what is written, from the start, that waits for more. Close it."""
        return Follower(self, os.open(self._path, os.O_RDONLY | os.O_CLOEXEC))

    def end(self) -> None:
        """Nothing more will be written: followers come to their end. `commit` implies it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def commit(self, expected: str = "") -> str:
        """Store the content at its digest, durably. Raises DigestMismatch, and then nothing is stored."""
        self.end()
        digest = self.digest
        if expected and digest != expected:
            self.abort()
            raise DigestMismatch(f"unexpected digest: got {digest}, expected {expected}")
        if self._store.exists(digest):
            self.abort()
            return digest
        os.fdatasync(self._descriptor)
        os.rename(self._path, os.path.join(self._blobs, digest[7:]))
        self._close()
        sync_directory(self._blobs)
        return digest

    def abort(self, cause: BaseException | None = None) -> None:
        """Throw the content away. Followers fail, if it had not ended."""
        if self._descriptor < 0:
            return
        with self._changed:
            if not self._ended:
                self._failure = cause or ArgosyError("the transfer was aborted")
            self._ended = True
            self._changed.notify_all()
        self._close()
        os.unlink(self._path)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        self._hasher.close()

    def wait_beyond(self, position: int) -> int:
        """Wait until there is more than `position`; how much there is, `position` itself at the end."""
        with self._changed:
            while self.size <= position and not self._ended:
                self._changed.wait()
            if self._failure is not None and self.size <= position:
                raise ArgosyError("the transfer was aborted") from self._failure
            return self.size

    def __enter__(self) -> "Ingest":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort(error)


class Follower:
    """A `tar.Skippable` over an ingest that may still be growing."""

    def __init__(self, ingest: Ingest, descriptor: int) -> None:
        self._ingest = ingest
        self._descriptor = descriptor
        self._position = 0

    def read(self, size: int, /) -> bytes:
        available = self._ingest.wait_beyond(self._position) - self._position
        data = os.pread(self._descriptor, min(size, available), self._position) if available else b""
        self._position += len(data)
        return data

    def skip(self, size: int, /) -> int:
        """Waits for what is skipped."""
        end = self._position + size
        reached = self._ingest.wait_beyond(end - 1) if size else end
        skipped = min(end, reached) - self._position
        self._position += skipped
        return skipped

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _missing(digest: str) -> NotFound:
    return NotFound(f"content {digest}: not found")
