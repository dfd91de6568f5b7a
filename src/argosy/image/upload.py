"""Bringing blobs and manifests into a registry's repository (distribution-spec, "Push")."""

import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urljoin

from argosy.errors import ArgosyError
from argosy.image.fetch import Stopped
from argosy.image.hashing import Hasher
from argosy.image.registry import NoCredentials, RegistryError, Repository
from argosy.image.transport import Response, TransportError, release

_ATTEMPTS = 5
_FIRST_PAUSE = 0.5
_BINARY = {"Content-Type": "application/octet-stream"}
# A registry that does not take a blob in pieces is given it in one.
_NO_PIECES = (404, 405, 411, 415, 501)


def has_blob(repository: Repository, digest: str) -> bool:
    """Raises RegistryError for an answer that is neither yes nor no."""
    response = repository.request("HEAD", f"blobs/{digest}", {}, expected=(200, 404))
    release(response)
    return response.status == 200


def mount_blob(repository: Repository, digest: str, source: str) -> bool:
    """Have a blob from another repository of the registry. A refusal is no error."""
    query = f"blobs/uploads/?mount={digest}&from={source}"
    try:
        scope = f"repository:{source}:pull"
        response = repository.request(
            "POST", query, {"Content-Length": "0"}, expected=(201, 202), scope=scope
        )
    except RegistryError:
        return False
    mounted = response.status == 201
    if not mounted:
        _cancel(repository, _location(response))
    release(response)
    return mounted


def put_manifest(repository: Repository, tag_or_digest: str, media_type: str, data: bytes) -> None:
    headers = {"Content-Type": media_type}
    release(
        repository.request("PUT", f"manifests/{tag_or_digest}", headers, body=data, expected=(200, 201, 202))
    )


def put_blob(repository: Repository, digest: str, data: bytes) -> None:
    """A small blob, in one go."""
    location = _begin(repository)
    end = _with_digest(location, digest)
    release(repository.request("PUT", end, _BINARY, body=data, expected=(201, 204)))


def upload_blob(repository: Repository, produce: Callable[[], Iterator[bytes]]) -> tuple[str, int]:
    """Send a blob as it is made. Returns its digest and size, which are known at its end.

    `produce` makes the same pieces each time. Raises RegistryError, TransportError; then the registry has
    forgotten the blob, or soon will.
    """
    location = _begin(repository)
    pieces = _Counted(produce())
    try:
        response = repository.request("PATCH", location, _BINARY, body=pieces, expected=(202, 204))
        location = _location(response) or location
        release(response)
        end = _with_digest(location, pieces.digest)
        release(repository.request("PUT", end, {"Content-Length": "0"}, expected=(201, 204)))
    except RegistryError as error:
        _cancel(repository, location)
        if error.answered not in _NO_PIECES:
            raise
        return _upload_whole(repository, produce)
    except Stopped:
        _cancel(repository, location)
        raise
    finally:
        pieces.close()
    return pieces.digest, pieces.size


def _upload_whole(repository: Repository, produce: Callable[[], Iterator[bytes]]) -> tuple[str, int]:
    """For a registry that wants to know the digest and the size beforehand: the blob is made twice."""
    pieces = _Counted(produce())
    try:
        for _ in pieces:
            pass
        digest, size = pieces.digest, pieces.size
    finally:
        pieces.close()
    end = _with_digest(_begin(repository), digest)
    headers = {**_BINARY, "Content-Length": str(size)}
    again = _Counted(produce())
    try:
        release(repository.request("PUT", end, headers, body=again, expected=(201, 204)))
    finally:
        again.close()
    return digest, size


class Retry:
    """Tries that fail for a passing reason, with growing pauses between them."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._failures = 0

    def after(self, error: ArgosyError) -> None:
        """Wait, if another try may help; else raise `error`."""
        self._failures += 1
        if self._failures == _ATTEMPTS or not _is_temporary(error, self._failures):
            raise error
        asked = error.wait if isinstance(error, RegistryError) else 0.0
        if self._stop.wait(asked or _FIRST_PAUSE * 2 ** (self._failures - 1)):
            raise error


class _Counted:
    """Pieces that are hashed and counted as they pass."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._hasher = Hasher()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        """Raises Stopped for whatever goes wrong with the pieces: the transport takes an OSError for its own,
        and a broken pipe for a registry that has heard enough."""
        pieces = iter(self._pieces)
        while True:
            try:
                piece = next(pieces, b"")
            except OSError as error:
                raise Stopped(f"context canceled: {error}") from error
            if not piece:
                return
            self._hasher.update(piece)
            self.size += len(piece)
            yield piece

    @property
    def digest(self) -> str:
        return self._hasher.digest

    def close(self) -> None:
        self._hasher.close()


def _begin(repository: Repository) -> str:
    response = repository.request("POST", "blobs/uploads/", {"Content-Length": "0"}, expected=(202,))
    location = _location(response)
    release(response)
    if not location:
        raise TransportError("the registry does not say where to upload to")
    return location


def _location(response: Response) -> str:
    return urljoin(response.url or "", response.headers.get("Location", ""))


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest.replace(':', '%3A')}"


def _cancel(repository: Repository, location: str) -> None:
    """A courtesy: a registry forgets unfinished uploads by itself."""
    try:
        release(repository.request("DELETE", location, {}, expected=range(600)))
    except ArgosyError:
        return


def _is_temporary(error: ArgosyError, failures: int) -> bool:
    if isinstance(error, RegistryError):
        # A token may run out in the middle; a new one that is no good either will not get better.
        expired = error.answered == 401 and failures == 1 and not isinstance(error, NoCredentials)
        return expired or error.answered == 408 or error.answered >= 500 or error.is_passing
    return isinstance(error, TransportError)
