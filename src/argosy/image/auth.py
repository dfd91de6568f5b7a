"""Authorization at a registry: its challenge, and the answer to it.

A registry that wants to know who asks answers 401 with `WWW-Authenticate`. Basic is answered with the
user and password themselves; Bearer names a token service, which is asked with them for a token that is
good for the scope (distribution-spec's token authentication; RFC 6750, RFC 7235). The answer is kept,
and sent along at once the next time.
"""

import base64
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec

from argosy.errors import ArgosyError, InvalidParameter
from argosy.image.credentials import Credentials
from argosy.image.document import decode_document
from argosy.image.transport import Response, Transport, release

_SCHEME = re.compile(r"\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s+|\Z)")
_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(,|\Z)?')
_CLIENT = "argosy"
# What a token is good for if the service does not say (token specification).
_DEFAULT_LIFETIME = 60
_TOKEN_LIMIT = 1 << 20


class AuthError(ArgosyError):
    """The token service refused, or makes no sense."""


@dataclass(frozen=True, slots=True)
class Challenge:
    scheme: str
    parameters: dict[str, str]


class _TokenAnswer(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int | None = None


class _ErrorAnswer(msgspec.Struct):
    details: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Token:
    header: str
    deadline: float


class Authorizer:
    """Thread-safe. Answers are kept by who asks for what."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, Credentials], _Token] = {}

    def header(self, host: str, scope: str, credentials: Credentials) -> str:
        """What to send, if an earlier challenge has been answered; else empty."""
        with self._lock:
            token = self._kept.get((host, scope, credentials))
        return token.header if token is not None and time.monotonic() < token.deadline else ""

    def answer(
        self, response: Response, host: str, scope: str, credentials: Credentials, *, insecure: bool
    ) -> str:
        """The header that answers a 401; empty if there is nothing to answer with. Raises AuthError."""
        offered = {challenge.scheme: challenge for challenge in challenges(response)}
        if credentials.registry_token:
            token = _Token(f"Bearer {credentials.registry_token}", time.monotonic() + _DEFAULT_LIFETIME)
        elif (bearer := offered.get("bearer")) is not None and bearer.parameters.get("realm"):
            token = self._ask(bearer.parameters, scope, credentials, insecure)
        elif "basic" in offered and credentials.username:
            token = _Token(_basic(credentials), float("inf"))
        else:
            return ""
        with self._lock:
            self._kept[host, scope, credentials] = token
        return token.header

    def identity_token(self, response: Response, credentials: Credentials, *, insecure: bool) -> str:
        """What a token service gives to ask with from now on, instead of the password; empty if nothing.

        Raises AuthError if it refuses.
        """
        for challenge in challenges(response):
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                fields = [
                    ("account", credentials.username),
                    ("client_id", _CLIENT),
                    ("offline_token", "true"),
                ]
                answer = self._answer(challenge.parameters, "", credentials, insecure, fields)
                return answer.refresh_token
        return ""

    def basic(self, credentials: Credentials) -> dict[str, str]:
        """For services that ask no challenge first."""
        return {"Authorization": _basic(credentials)} if credentials.username else {}

    def forget(self, host: str, scope: str, credentials: Credentials) -> None:
        with self._lock:
            self._kept.pop((host, scope, credentials), None)

    def _ask(
        self, parameters: dict[str, str], scope: str, credentials: Credentials, insecure: bool
    ) -> _Token:
        asked = time.monotonic()
        answer = self._answer(parameters, scope, credentials, insecure)
        value = answer.token or answer.access_token
        if not value:
            raise AuthError("authorization server did not include a token in the response")
        # A fifth earlier, so that it does not run out on the way.
        return _Token(f"Bearer {value}", asked + 0.8 * (answer.expires_in or _DEFAULT_LIFETIME))

    def _answer(
        self,
        parameters: dict[str, str],
        scope: str,
        credentials: Credentials,
        insecure: bool,
        more: Sequence[tuple[str, str]] = (),
    ) -> _TokenAnswer:
        realm = parameters["realm"]
        if not insecure and urlsplit(realm).scheme != "https" and credentials != Credentials():
            raise AuthError(f"the token service {realm} would get credentials without encryption")
        fields = [("service", parameters.get("service", ""))]
        fields += [("scope", each) for each in (scope or parameters.get("scope", "")).split(" ")]
        fields = [(name, value) for name, value in [*fields, *more] if value]
        if credentials.identity_token:
            fields += [
                ("grant_type", "refresh_token"),
                ("refresh_token", credentials.identity_token),
                ("client_id", _CLIENT),
            ]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode(fields).encode()
            response = self._transport.request(
                "POST", realm, headers, body=body, insecure=insecure, is_secret=True
            )
        else:
            headers = {"Authorization": _basic(credentials)} if credentials.username else {}
            separator = "&" if urlsplit(realm).query else "?"
            url = realm + separator + urlencode(fields)
            response = self._transport.request("GET", url, headers, insecure=insecure)
        try:
            return _decoded(response)
        finally:
            release(response)


def challenges(response: Response) -> Iterator[Challenge]:
    for header in response.headers.getlist("WWW-Authenticate"):
        yield from parse_challenges(header)


def parse_challenges(header: str) -> Iterator[Challenge]:
    """`Bearer realm="…",service="…", Basic realm="…"`; what cannot be read ends it."""
    position = 0
    while match := _SCHEME.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while found := _PARAMETER.match(header, position):
            position = found.end()
            quoted, bare = found[2], found[3]
            parameters[found[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
        yield Challenge(match[1].lower(), parameters)


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def _decoded(response: Response) -> _TokenAnswer:
    data = response.read(_TOKEN_LIMIT)
    try:
        if response.status == 200:
            return decode_document(data, _TokenAnswer, "token")
        failure = decode_document(data or b"{}", _ErrorAnswer, "token")
    except InvalidParameter as error:
        if response.status not in (401, 403):
            text = f"unable to decode token response (status {response.status}): {error.message}"
            raise AuthError(text) from None
        failure = _ErrorAnswer()
    text = failure.details or failure.message
    if response.status in (401, 403):
        raise AuthError(f"unauthorized: {text or 'authentication required'}")
    raise AuthError(f"token service answered {response.status} {response.reason}: {text}")
