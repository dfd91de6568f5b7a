"""Registries: where a repository is, and reading manifests and blobs from it (distribution-spec).

Docker Hub's API is on another host than its name; its mirrors, if there are any, are asked first and
without anybody's credentials. A registry on the loopback, or one that the administrator calls insecure,
is tried with TLS, certificates unchecked, and then without; every other needs TLS.
"""

import ipaddress
import re
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin

import msgspec

from argosy.errors import ArgosyError, InvalidParameter, NotFound
from argosy.image import digest as digests
from argosy.image.auth import Authorizer, challenges
from argosy.image.content import DigestMismatch
from argosy.image.credentials import Credentials
from argosy.image.document import decode_document
from argosy.image.proxy import is_loopback
from argosy.image.reference import DEFAULT_DOMAIN, Reference
from argosy.image.transport import Body, Response, Transport, TransportError, origin, release
from argosy.spec.oci_image import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

_T = TypeVar("_T")
_HUB = "registry-1.docker.io"
MANIFEST_LIMIT = 4 << 20
_PAGE_LIMIT = 1000
# RFC 8288.
_NEXT_PAGE = re.compile(r'<([^>]*)>\s*;\s*rel="?next\b')
_ERROR_LIMIT = 64 << 10
_ATTEMPTS = 4
_PAUSE = 0.5
# RFC 9110, "Idempotent Methods".
_IDEMPOTENT = ("GET", "HEAD", "PUT", "DELETE")
_LONGEST_WAIT = 60.0
_SCHEMA1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_ACCEPT = ", ".join((DOCKER_MANIFEST, DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST, "*/*"))
_MESSAGES = {
    "DENIED": "requested access to the resource is denied",
    "UNAUTHORIZED": "authentication required",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "NAME_UNKNOWN": "repository name not known to registry",
    "TOOMANYREQUESTS": "too many requests",
}
# By RFC 6750's codes in a challenge that comes with a refusal.
_CHALLENGE_CODES = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}


class RegistryError(ArgosyError):
    """The registry said no. `code` is the distribution-spec's, or empty; `answered` the HTTP status."""

    def __init__(self, code: str, message: str, answered: int) -> None:
        name = code.lower().replace("_", " ")
        text = message or _MESSAGES.get(code, "unknown error")
        super().__init__(f"{name}: {text}" if name else text)
        self.code = code
        self.answered = answered
        # What the registry asks to wait before another try, in seconds.
        self.wait = 0.0

    @property
    def is_passing(self) -> bool:
        """Whether it may be over soon: the server is not there, or says when to come again."""
        if self.answered == 429:
            return 0 < self.wait <= _LONGEST_WAIT
        return self.answered in (502, 503, 504)


class NoCredentials(RegistryError):
    """The registry wants a user and a password, and there are none."""

    def __init__(self, method: str, url: str) -> None:
        super().__init__("UNAUTHORIZED", "", 401)
        self.bare_message = "no basic auth credentials"
        self.message = f'{method.capitalize()} "{url}": {self.bare_message}'


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """`media_type` as the document or else the header says; `data` has the digest `digest`."""

    data: bytes
    media_type: str
    digest: str


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct):
    errors: list[_Error] | None = None
    details: str = ""


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class _Probe(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`insecure`: certificates are not checked, and plain HTTP will do."""

    host: str
    scheme: str = "https"
    insecure: bool = False
    mirror: bool = False
    prefix: str = ""


class Registries:
    """Thread-safe."""

    def __init__(
        self,
        *,
        insecure: Sequence[str] = (),
        mirrors: Sequence[str] = (),
        transport: Transport | None = None,
    ) -> None:
        """`insecure` holds `HOST[:PORT]` and networks, `mirrors` URLs or hosts."""
        self._insecure = insecure
        self._mirrors = [_mirror(text) for text in mirrors]
        self.transport = transport or Transport()
        self.authorizer = Authorizer(self.transport)
        self._lock = threading.Lock()
        self._schemes: dict[str, str] = {}

    def close(self) -> None:
        self.transport.close()

    def repositories(self, reference: Reference, credentials: Credentials) -> Iterator["Repository"]:
        """Where to ask, one after the other."""
        if reference.domain == DEFAULT_DOMAIN:
            for mirror in self._mirrors:
                yield Repository(self, mirror, reference, Credentials())
            yield Repository(self, Endpoint(_HUB), reference, credentials)
            return
        yield Repository(self, self._endpoint(reference.domain), reference, credentials)

    def repository_for_push(self, reference: Reference, credentials: Credentials) -> "Repository":
        """Mirrors are not written to."""
        hub = reference.domain == DEFAULT_DOMAIN
        endpoint = Endpoint(_HUB) if hub else self._endpoint(reference.domain)
        return Repository(self, endpoint, reference, credentials, "pull,push")

    def root(self, domain: str, credentials: Credentials) -> "Repository":
        """The registry itself, for what concerns no repository."""
        endpoint = Endpoint(_HUB) if domain == DEFAULT_DOMAIN else self._endpoint(domain)
        return Repository(self, endpoint, Reference(domain, ""), credentials)

    def _endpoint(self, domain: str) -> Endpoint:
        return Endpoint(domain, insecure=self.is_insecure(domain))

    def is_insecure(self, domain: str) -> bool:
        host = _host_of(domain)
        if is_loopback(host) or domain in self._insecure or host in self._insecure:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any("/" in text and address in ipaddress.ip_network(text, False) for text in self._insecure)

    def known_scheme(self, endpoint: Endpoint) -> str:
        with self._lock:
            return self._schemes.get(endpoint.host, "")

    def learn_scheme(self, endpoint: Endpoint, scheme: str) -> None:
        with self._lock:
            self._schemes[endpoint.host] = scheme


class Repository:
    """One repository at one endpoint, for one user. Thread-safe."""

    def __init__(
        self,
        registries: Registries,
        endpoint: Endpoint,
        reference: Reference,
        credentials: Credentials,
        actions: str = "pull",
    ) -> None:
        self._registries = registries
        self._transport = registries.transport
        self._authorizer = registries.authorizer
        self._endpoint = endpoint
        self._base = f"/v2/{reference.path}/" if reference.path else "/v2/"
        self._credentials = credentials
        self._scope = f"repository:{reference.path}:{actions}" if reference.path else ""

    @property
    def is_mirror(self) -> bool:
        return self._endpoint.mirror

    @property
    def is_insecure(self) -> bool:
        return self._endpoint.insecure

    def manifest(self, tag_or_digest: str) -> FetchedManifest:
        """Verified, if it was asked for by digest. Raises RegistryError, TransportError, DigestMismatch."""
        response = self._get(f"manifests/{tag_or_digest}", {"Accept": _ACCEPT})
        try:
            data = _read_up_to(response, MANIFEST_LIMIT)
        finally:
            release(response)
        digest = digests.of_bytes(data)
        if digests.is_digest(tag_or_digest) and digest != tag_or_digest:
            raise DigestMismatch(f"manifest verification failed for digest {tag_or_digest}")
        return FetchedManifest(data, _media_type(data, response.headers.get("Content-Type", "")), digest)

    def blob(self, digest: str, offset: int = 0, end: int | None = None) -> Response:
        """The blob from `offset` to `end`, with status 206, or the whole of it with 200. `release` it."""
        return self._get(f"blobs/{digest}", _range(offset, end))

    def tags(self) -> list[str]:
        """All of the repository's, page after page. Raises as `request`, and InvalidParameter."""
        found: list[str] = []
        path = "tags/list"
        for _ in range(_PAGE_LIMIT):
            response = self.request("GET", path, {}, expected=(200,))
            try:
                data = _read_up_to(response, MANIFEST_LIMIT)
            finally:
                release(response)
            found += decode_document(data, _Tags, "list of tags").tags or []
            following = _NEXT_PAGE.search(response.headers.get("Link", ""))
            if following is None:
                return found
            path = urljoin(response.url or "", following[1])
        raise InvalidParameter(f"the list of tags has more than {_PAGE_LIMIT} pages")

    def foreign(self, url: str, offset: int = 0, end: int | None = None) -> Response:
        """What a descriptor's `urls` name: somebody else's server, which gets no authorization."""
        response = self._transport.request("GET", url, _range(offset, end))
        if response.status not in (200, 206):
            raise _refusal(response)
        return response

    def _get(self, path: str, headers: dict[str, str]) -> Response:
        return self.request("GET", path, headers, expected=(200, 206))

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        expected: Container[int],
        body: Body = None,
        scope: str = "",
    ) -> Response:
        """The answer, its body unread: `release` it. `path` is below the repository, or a whole URL.

        `scope` is what authorization is needed for beside the repository itself. A body that is no bytes
        is sent once: before it, something else must have got the authorization. A registry that is
        overloaded is asked again some times, later, and so is one that hung up. Raises RegistryError for
        an answer that was not expected, TransportError, AuthError.
        """
        once = not (body is None or isinstance(body, bytes))
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._request(method, path, headers, expected, body, scope)
            except RegistryError as error:
                if once or attempt == _ATTEMPTS or not error.is_passing:
                    raise
                time.sleep(error.wait or _PAUSE * attempt)
            except TransportError as error:
                if once or attempt == _ATTEMPTS or not error.broke_off or method not in _IDEMPOTENT:
                    raise
                time.sleep(_PAUSE * (attempt - 1))
        raise AssertionError("unreachable")

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        expected: Container[int],
        body: Body,
        scope: str,
    ) -> Response:
        key = (self._endpoint.host, f"{self._scope} {scope}".strip(), self._credentials)
        authorization = self._authorizer.header(*key)
        for attempt in range(2):
            sent = {**headers, "Authorization": authorization} if authorization else headers
            response = self._ask(method, path, sent, body)
            if response.status in expected:
                return response
            if response.status != 401 or attempt or not (body is None or isinstance(body, bytes)):
                break
            if not self._is_own(response.url or ""):
                # Whoever a redirect led to may not ask for what is the registry's.
                break
            self._authorizer.forget(*key)
            try:
                authorization = self._authorizer.answer(response, *key, insecure=self._endpoint.insecure)
            except ArgosyError:
                release(response)
                raise
            if not authorization:
                if any(challenge.scheme == "basic" for challenge in challenges(response)):
                    release(response)
                    raise NoCredentials(method, response.url or "")
                break
            release(response)
        raise _refusal(response)

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: Body) -> Response:
        endpoint = self._endpoint
        send = self._transport.request
        if "://" in path:
            return send(method, path, self._for_origin(path, headers), body=body, insecure=endpoint.insecure)
        tail = f"://{endpoint.host}{endpoint.prefix}{self._base}{path}"
        if not endpoint.insecure:
            return send(method, endpoint.scheme + tail, headers, body=body)
        known = self._registries.known_scheme(endpoint)
        if known != "http":
            try:
                response = send(method, "https" + tail, headers, body=body, insecure=True)
            except TransportError:
                if known:
                    raise
            else:
                self._registries.learn_scheme(endpoint, "https")
                return response
        response = send(method, "http" + tail, headers, body=body, insecure=True)
        self._registries.learn_scheme(endpoint, "http")
        return response

    def _for_origin(self, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """A registry may send uploads elsewhere; who is there has no use for our authorization."""
        if self._is_own(url):
            return headers
        return {name: value for name, value in headers.items() if name != "Authorization"}

    def _is_own(self, url: str) -> bool:
        """Whether it is the registry's; without encryption only where the registry is asked without it."""
        schemes = ("http", "https") if self._endpoint.insecure else (self._endpoint.scheme,)
        return origin(url) in {(scheme, self._endpoint.host.lower()) for scheme in schemes}


def first_answer(
    registries: Registries, reference: Reference, credentials: Credentials, ask: Callable[[Repository], _T]
) -> _T:
    """What the first repository answers that can: a mirror that cannot help is passed over.

    Raises NotFound, RegistryError, TransportError.
    """
    for repository in registries.repositories(reference, credentials):
        try:
            return ask(repository)
        except RegistryError as error:
            if not repository.is_mirror:
                raise translated(error, reference) from error
        except ArgosyError:
            if not repository.is_mirror:
                raise
    raise AssertionError("there is always a registry after the mirrors")


def translated(error: RegistryError, reference: Reference) -> ArgosyError:
    """The error that dockerd gives for a pull that a registry refused."""
    if error.code == "DENIED":
        name = reference.familiar_name
        reason = "repository does not exist or may require 'docker login'"
        return NotFound(f"pull access denied for {name}, {reason}: {error.message}")
    if error.code == "MANIFEST_UNKNOWN":
        return NotFound(f"manifest for {reference.familiar} not found: {error.message}")
    if error.code == "NAME_UNKNOWN":
        return NotFound(f"repository {reference.familiar_name} not found: {error.message}")
    if error.code == "TOOMANYREQUESTS":
        error.hint = "docker login raises the limit, and a mirror of the registry avoids it"
    if error.code == "UNAUTHORIZED":
        where = "" if reference.domain == DEFAULT_DOMAIN else f" {reference.domain}"
        error.hint = f"Log in with an account that may read {reference.familiar_name}: argosy login{where}"
    return error


def _refusal(response: Response) -> RegistryError:
    error = _explained(response)
    wait = response.headers.get("Retry-After", "")
    # It may be a date, too; registries do not use that.
    error.wait = float(wait) if wait.isdigit() else 0.0
    return error


def _explained(response: Response) -> RegistryError:
    try:
        data = response.read(_ERROR_LIMIT)
    finally:
        release(response)
    try:
        answer = decode_document(data, _Errors, "answer")
    except InvalidParameter:
        answer = _Errors()
    for challenge in challenges(response):
        code = _CHALLENGE_CODES.get(challenge.parameters.get("error", ""), "")
        if challenge.scheme == "bearer" and code:
            return RegistryError(code, challenge.parameters.get("error_description", ""), response.status)
    if answer.errors:
        return RegistryError(answer.errors[0].code, answer.errors[0].message, response.status)
    if response.status == 401:
        return RegistryError("UNAUTHORIZED", answer.details, response.status)
    if response.status == 429:
        return RegistryError("TOOMANYREQUESTS", answer.details, response.status)
    text = f"received unexpected HTTP status: {response.status} {response.reason or ''}".rstrip()
    return RegistryError("", text, response.status)


def _read_up_to(response: Response, limit: int) -> bytes:
    data: bytes = response.read(limit + 1)
    if len(data) > limit:
        raise InvalidParameter(f"manifest is larger than {limit} bytes")
    return data


def _media_type(data: bytes, header: str) -> str:
    """Raises InvalidParameter for what is no manifest, or one of the first schema."""
    media_type = header.partition(";")[0].strip()
    probe = decode_document(data, _Probe, "manifest")
    media_type = probe.media_type or media_type
    if media_type in _SCHEMA1 or probe.schema_version == 1:
        raise InvalidParameter(
            "Docker Image manifest version 2, schema 1 is not supported: ask the author of the image to "
            "upgrade it to the OCI Format or Docker Image manifest version 2, schema 2. More information at "
            "https://docs.docker.com/go/deprecated-image-specs/"
        )
    return media_type


def _range(offset: int, end: int | None) -> dict[str, str]:
    last = "" if end is None else end - 1
    return {"Range": f"bytes={offset}-{last}"} if offset or end is not None else {}


def _mirror(text: str) -> Endpoint:
    scheme, separator, rest = text.rpartition("://")
    host, slash, prefix = rest.rstrip("/").partition("/")
    return Endpoint(host, scheme if separator else "https", mirror=True, prefix=slash + prefix)


def _host_of(domain: str) -> str:
    if domain.startswith("["):
        return domain[1:].partition("]")[0]
    return domain.rpartition(":")[0] if ":" in domain else domain
