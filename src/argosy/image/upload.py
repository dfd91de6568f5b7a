"""Bringing blobs and manifests into a registry's repository (distribution-spec, "Push")."""

import threading
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin

from argosy.errors import ArgosyError
from argosy.image.hashing import Hasher
from argosy.image.registry import RegistryError, Repository
from argosy.image.transport import Response, TransportError, release

_ATTEMPTS = 5
_FIRST_PAUSE = 0.5
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
    headers = {"Content-Type": "application/octet-stream"}
    release(
        repository.request("PUT", _with_digest(location, digest), headers, body=data, expected=(201, 204))
    )


def upload_blob(repository: Repository, pieces: Iterable[bytes]) -> tuple[str, int]:
    """Send a blob as it is made. Returns its digest and size, which are known at its end.

    Raises RegistryError, TransportError; then the registry has forgotten it, or soon will.
    """
    location = _begin(repository)
    counted = _Counted(pieces)
    headers = {"Content-Type": "application/octet-stream"}
    try:
        response = repository.request("PATCH", location, headers, body=counted, expected=(202, 204))
        location = _location(response) or location
        release(response)
        end = _with_digest(location, counted.digest)
        release(repository.request("PUT", end, {"Content-Length": "0"}, expected=(201, 204)))
    except RegistryError as error:
        if error.answered not in _NO_PIECES:
            _cancel(repository, location)
            raise
        data = b"".join(pieces)
        whole = Hasher()
        whole.update(data)
        put_blob(repository, whole.digest, data)
        return whole.digest, len(data)
    finally:
        counted.close()
    return counted.digest, counted.size


class Retry:
    """Tries that fail for a passing reason, with growing pauses between them."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._failures = 0

    def after(self, error: ArgosyError) -> None:
        """Wait, if another try may help; else raise `error`."""
        self._failures += 1
        if self._failures == _ATTEMPTS or not _is_temporary(error):
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
        for piece in self._pieces:
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


def _is_temporary(error: ArgosyError) -> bool:
    if isinstance(error, RegistryError):
        # A token may run out in the middle.
        return error.answered in (401, 408) or error.answered >= 500 or error.is_passing
    return isinstance(error, TransportError)
