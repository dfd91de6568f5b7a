"""Token services: what they are asked, and what becomes of their answers."""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from urllib3 import HTTPHeaderDict, HTTPResponse

from argosy.errors import ArgosyError, Unauthorized
from argosy.image import Credentials, Images
from argosy.image.auth import AuthError, Authorizer
from argosy.image.reference import parse_reference
from argosy.image.registry import Registries
from argosy.image.transport import Response, Transport, TransportError

from .registry_server import Registry, refuse, reply, serving
from .samples import layer

BASE = layer({"a": os.urandom(1000)})
Asked = list[tuple[str, dict[str, str]]]


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving() as server:
        server.add_image("1", [BASE])
        yield server


def serve_tokens(registry: Registry, answer: dict[str, object], status: int = 200) -> Asked:
    """(method, fields) of each request to the token service."""
    asked: Asked = []

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        if not handler.path.startswith("/token"):
            return _challenged(registry, handler)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        fields = parse_qs(body or urlsplit(handler.path).query)
        asked.append((handler.command, {name: " ".join(values) for name, values in fields.items()}))
        reply(handler, status, json.dumps(answer).encode())
        return True

    registry.respond = respond
    return asked


def _challenged(registry: Registry, handler: BaseHTTPRequestHandler) -> bool:
    if handler.headers.get("Authorization") == "Bearer good":
        if handler.path != "/v2/":
            return False
        reply(handler, 200)
        return True
    challenge = f'Bearer realm="http://{registry.host}/token",service="here"'
    refuse(handler, 401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=challenge)
    return True


def test_an_identity_token_is_traded_for_others(images: Images, registry: Registry) -> None:
    asked = serve_tokens(registry, {"access_token": "good", "expires_in": 60})
    images.pull(f"{registry.host}/x:1", credentials=Credentials("me", identity_token="mine"))
    assert asked == [
        (
            "POST",
            {
                "service": "here",
                "scope": "repository:x:pull",
                "grant_type": "refresh_token",
                "refresh_token": "mine",
                "client_id": "argosy",
            },
        )
    ]


def test_a_login_asks_for_an_identity_token(images: Images, registry: Registry) -> None:
    asked = serve_tokens(registry, {"token": "good", "refresh_token": "mine"})
    assert images.login(registry.host, Credentials("me", "pw")) == "mine"
    method, fields = asked[0]
    assert (method, fields["account"], fields["offline_token"]) == ("GET", "me", "true")
    basic = next(headers["Authorization"] for path, headers in registry.requests if path.startswith("/token"))
    assert base64.b64decode(basic.removeprefix("Basic ")) == b"me:pw"


def test_a_login_that_is_refused_says_so(images: Images, registry: Registry) -> None:
    serve_tokens(registry, {"details": "incorrect username or password"}, 401)
    with pytest.raises(Unauthorized, match="unauthorized: incorrect username or password"):
        images.login(registry.host, Credentials("me", "wrong"))


def test_a_registry_token_is_used_as_it_is(images: Images, registry: Registry) -> None:
    asked = serve_tokens(registry, {})
    images.pull(f"{registry.host}/x:1", credentials=Credentials(registry_token="good"))
    assert asked == []


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        ({}, 200, "did not include a token"),
        ({"token": ["good"]}, 200, "unable to decode token response"),
        ({"message": "go away"}, 500, "token service answered 500 .*go away"),
        ({"details": 3}, 403, "unauthorized: authentication required"),
    ],
)
def test_answers_that_are_none_are_told(
    images: Images, registry: Registry, answer: dict[str, object], status: int, message: str
) -> None:
    serve_tokens(registry, answer, status)
    with pytest.raises(AuthError, match=message):
        images.pull(f"{registry.host}/x:1", credentials=Credentials("me", "pw"))


def test_a_token_that_is_never_good_is_not_asked_for_again_and_again(
    images: Images, registry: Registry
) -> None:
    asked = serve_tokens(registry, {"token": "bad"})
    with pytest.raises(ArgosyError, match="unauthorized: authentication required") as caught:
        images.pull(f"{registry.host}/x:1", credentials=Credentials("me", "pw"))
    assert len(asked) == 1
    assert f"argosy login {registry.host}" in str(caught.value)


def test_a_refresh_token_goes_to_no_host_that_a_redirect_names(images: Images, registry: Registry) -> None:
    with serving() as thief:
        taken: list[bytes] = []

        def take(handler: BaseHTTPRequestHandler) -> bool:
            taken.append(handler.rfile.read(int(handler.headers.get("Content-Length") or 0)))
            reply(handler, 200, b'{"access_token":"good"}')
            return True

        def redirect(handler: BaseHTTPRequestHandler) -> bool:
            if not handler.path.startswith("/token"):
                return _challenged(registry, handler)
            handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            reply(handler, 307, Location=f"http://{thief.host}/token")
            return True

        registry.respond, thief.respond = redirect, take
        with pytest.raises(ArgosyError, match="it would get credentials that are not for it"):
            images.pull(f"{registry.host}/x:1", credentials=Credentials("me", identity_token="mine"))
        assert taken == []


def test_a_redirect_on_the_same_host_is_followed_with_the_token(images: Images, registry: Registry) -> None:
    asked = serve_tokens(registry, {"access_token": "good", "expires_in": 60})
    answer = registry.respond

    def redirect(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path == "/token":
            handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            reply(handler, 308, Location="/token/elsewhere")
            return True
        return answer(handler)

    registry.respond = redirect
    images.pull(f"{registry.host}/x:1", credentials=Credentials("me", identity_token="mine"))
    assert [fields["refresh_token"] for _, fields in asked] == ["mine"]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_other_redirects_of_a_post_lead_to_a_get_without_what_was_posted(
    images: Images, registry: Registry, status: int
) -> None:
    asked = serve_tokens(registry, {"access_token": "good", "expires_in": 60})
    answer = registry.respond

    def redirect(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path == "/token":
            handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
            reply(handler, status, Location="/token/elsewhere")
            return True
        return answer(handler)

    registry.respond = redirect
    images.pull(f"{registry.host}/x:1", credentials=Credentials("me", identity_token="mine"))
    assert [(method, "refresh_token" in fields) for method, fields in asked] == [("GET", False)]


@pytest.mark.parametrize(
    ("credentials", "asks"),
    [(Credentials("me", "pw"), False), (Credentials("me", identity_token="t"), False), (Credentials(), True)],
)
def test_a_token_service_without_encryption_gets_no_credentials_of_a_registry_that_has_it(
    credentials: Credentials, asks: bool
) -> None:
    asked: list[str] = []

    class Recorder(Transport):
        def request(self, method: str, url: str, headers: Mapping[str, str], **more: object) -> Response:
            asked.append(url)
            raise TransportError("recorded")

    challenge = HTTPHeaderDict({"WWW-Authenticate": 'Bearer realm="http://tokens.example/t"'})
    response = HTTPResponse(headers=challenge, status=401)
    with pytest.raises(ArgosyError, match="recorded" if asks else "without encryption"):
        Authorizer(Recorder()).answer(response, "r.example", "s", credentials, insecure=False)
    assert bool(asked) is asks


@pytest.mark.parametrize(
    ("url", "insecure", "own"),
    [
        ("https://r.example/upload", False, True),
        ("http://r.example/upload", False, False),
        ("https://r.example:444/upload", False, False),
        ("https://other.example/upload", False, False),
        ("http://r.example/upload", True, True),
    ],
)
def test_an_upload_that_is_sent_elsewhere_takes_no_authorization_along(
    url: str, insecure: bool, own: bool
) -> None:
    registries = Registries(insecure=["r.example"] if insecure else [])
    reference = parse_reference("r.example/x:1")
    repository = next(iter(registries.repositories(reference, Credentials("me", "pw"))))
    sent = repository._for_origin(url, {"Authorization": "Bearer x", "Other": "1"})
    assert ("Authorization" in sent) is own and sent["Other"] == "1"
