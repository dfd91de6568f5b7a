"""What concerns a registry as a whole: whether it knows somebody, and what it finds for a word."""

import re
from urllib.parse import urlencode

import msgspec

from argosy.errors import InvalidParameter, Unauthorized
from argosy.image.auth import AuthError
from argosy.image.credentials import Credentials
from argosy.image.document import decode_document
from argosy.image.query import boolean
from argosy.image.reference import DEFAULT_DOMAIN
from argosy.image.registry import Registries, RegistryError
from argosy.image.transport import TransportError, release

_HUB_INDEX = "index.docker.io"
_ANSWER_LIMIT = 4 << 20
_LARGEST_LIMIT = 100
_DEFAULT_LIMIT = 25
_FILTERS = {"is-automated", "is-official", "stars"}
_INTEGER = re.compile("[+-]?[0-9]+")


class Found(msgspec.Struct, kw_only=True):
    """A line of a search, as registries and the Engine API spell it."""

    star_count: int = 0
    is_official: bool = False
    name: str = ""
    is_automated: bool = False
    description: str = ""


class _Answer(msgspec.Struct):
    results: list[Found] | None = None


def server_domain(address: str) -> str:
    """The registry of a server's address: a host, a URL, or nothing for Docker Hub."""
    host = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_DOMAIN if host in ("", _HUB_INDEX, DEFAULT_DOMAIN, "registry-1.docker.io") else host


def authenticate(registries: Registries, address: str, credentials: Credentials) -> str:
    """Show a registry who we are. Returns its identity token, or "".

    Raises Unauthorized, TransportError.
    """
    root = registries.root(server_domain(address), Credentials())
    response = root.request("GET", "", {}, expected=(200, 401))
    release(response)
    if response.status == 200:
        return ""
    url = response.url or ""
    try:
        token = registries.authorizer.identity_token(response, credentials, insecure=root.is_insecure)
        known = registries.root(server_domain(address), credentials)
        release(known.request("GET", "", {}, expected=(200,)))
    except AuthError as error:
        raise Unauthorized(f'Get "{url}": {error.message}', hint=_hint(address)) from error
    except RegistryError as error:
        if error.answered not in (401, 403):
            raise
        reason = "401 Unauthorized" if error.answered == 401 else "403 Forbidden"
        raise Unauthorized(
            f"login attempt to {url} failed with status: {reason}", hint=_hint(address)
        ) from error
    return token


def search(
    registries: Registries,
    term: str,
    limit: int | None,
    filters: dict[str, list[str]],
    credentials: Credentials,
) -> list[Found]:
    """Images whose name or description has a word. Raises InvalidParameter, TransportError."""
    wanted = _checked_filters(filters)
    count = _DEFAULT_LIMIT if limit is None else limit
    if not 1 <= count <= _LARGEST_LIMIT:
        raise InvalidParameter(f"limit {count} is outside the range of [1, {_LARGEST_LIMIT}]")
    if "://" in term:
        raise InvalidParameter(f"invalid repository name: repository name ({term}) should not have a scheme")
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, words = first, rest
    else:
        host, words = _HUB_INDEX, term.removeprefix("library/")
    if wanted.is_impossible:
        return []
    query = urlencode({"q": words, "n": count})
    schemes = ("https", "http") if registries.is_insecure(host) else ("https",)
    data = _first_answer(
        registries, [f"{scheme}://{host}/v1/search?{query}" for scheme in schemes], credentials
    )
    try:
        answer = decode_document(data, _Answer, f"answer of {host}")
    except InvalidParameter as error:
        raise InvalidParameter(f"error decoding registry search results: {error}") from None
    return [found for found in answer.results or [] if wanted(found)]


def _first_answer(registries: Registries, urls: list[str], credentials: Credentials) -> bytes:
    for number, url in enumerate(urls):
        try:
            headers = registries.authorizer.basic(credentials)
            response = registries.transport.request("GET", url, headers, insecure=len(urls) > 1)
        except TransportError:
            if number + 1 == len(urls):
                raise
            continue
        try:
            if response.status != 200:
                text = f"Unexpected status code {response.status}"
                raise RegistryError("", text, response.status)
            data: bytes = response.read(_ANSWER_LIMIT)
            return data
        finally:
            release(response)
    raise AssertionError("unreachable")


def _checked_filters(filters: dict[str, list[str]]) -> "_Wanted":
    for name in filters:
        if name not in _FILTERS:
            raise InvalidParameter(f"invalid filter '{name}'")
    asked = {name: boolean(filters, name) for name in ("is-automated", "is-official")}
    flags = {name: meaning for name, meaning in asked.items() if meaning is not None}
    return _Wanted(flags, max(map(_stars, filters.get("stars", [])), default=0))


def _stars(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise InvalidParameter(
            f"invalid filter 'stars={text}': strconv.Atoi: parsing \"{text}\": invalid syntax"
        )
    return int(text)


class _Wanted:
    def __init__(self, flags: dict[str, bool], stars: int) -> None:
        self._flags = flags
        self._stars = stars

    @property
    def is_impossible(self) -> bool:
        """Docker Hub builds no images any more, so that none is of its making."""
        return self._flags.get("is-automated", False)

    def __call__(self, found: Found) -> bool:
        official = self._flags.get("is-official", found.is_official)
        return found.star_count >= self._stars and found.is_official == official


def _hint(address: str) -> str:
    return f"Check user name and password, and that they are for {address or 'Docker Hub'}."
