"""Token services: what they are asked, and what becomes of their answers."""

import base64
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest

from argosy.errors import ArgosyError, Unauthorized
from argosy.image import Credentials, Images
from argosy.image.auth import AuthError

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
