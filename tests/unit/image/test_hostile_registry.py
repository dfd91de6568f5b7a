"""Registries that lie: what they send is refused, and nothing of it stays."""

import gzip
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import ArgosyError, InvalidParameter
from argosy.image import Credentials, Images, fetch
from argosy.image import registry as registries
from argosy.image.content import DigestMismatch
from image_store import unfinished

from .registry_server import MANIFEST, Registry, refuse, reply, serving
from .samples import configuration, descriptor, layer, sha256

BASE = layer({"a": os.urandom(200_000)})
CONFIG = "application/vnd.docker.container.image.v1+json"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(fetch, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(registries, "_PAUSE", 0.001)
    with serving() as server:
        yield server


def refused(images: Images, registry: Registry, root: Path, kind: type[ArgosyError], match: str) -> None:
    with pytest.raises(kind, match=match):
        images.pull(f"{registry.host}/x:1")
    assert images.list() == []
    assert unfinished(root / "root") == []


@pytest.mark.parametrize(
    "data",
    [
        b'{"x":' + b"[" * 1_000_000,
        b'{"schemaVersion":2,"config":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        b"\xff\xfe{}",
        b"",
        b"[]",
        b'{"schemaVersion":2,"config":{"size":1e999}}',
    ],
    ids=["brackets", "objects", "no UTF-8", "empty", "list", "infinity"],
)
def test_absurd_manifests_are_refused(
    images: Images, registry: Registry, tmp_path: Path, data: bytes
) -> None:
    registry.manifests["1"] = (MANIFEST, data)
    refused(images, registry, tmp_path, InvalidParameter, "invalid")


def test_an_absurd_configuration_is_refused(images: Images, registry: Registry, tmp_path: Path) -> None:
    document = b'{"rootfs":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    registry.blobs[sha256(document)] = document
    registry.add_manifest("1", MANIFEST, {"schemaVersion": 2, "config": descriptor(document, CONFIG)})
    refused(images, registry, tmp_path, InvalidParameter, "invalid image configuration")


def _offer(registry: Registry, data: bytes, stated: int) -> None:
    """An image of one layer whose manifest states another size."""
    document = configuration(BASE)
    registry.blobs.update({sha256(document): document, sha256(BASE): data})
    entry = {**descriptor(BASE, "application/vnd.docker.image.rootfs.diff.tar.gzip"), "size": stated}
    manifest = {"schemaVersion": 2, "config": descriptor(document, CONFIG), "layers": [entry]}
    registry.add_manifest("1", MANIFEST, manifest)


@pytest.mark.parametrize("stated", [0, 1, len(BASE) - 1])
def test_a_layer_longer_than_stated_is_refused(
    images: Images, registry: Registry, tmp_path: Path, stated: int
) -> None:
    _offer(registry, BASE, stated)
    refused(images, registry, tmp_path, ArgosyError, "digest")


def test_a_layer_shorter_than_stated_is_refused(images: Images, registry: Registry, tmp_path: Path) -> None:
    _offer(registry, BASE, len(BASE) + 100)
    refused(images, registry, tmp_path, ArgosyError, "EOF|broke off")


def test_no_more_is_read_than_the_manifest_states(images: Images, registry: Registry, tmp_path: Path) -> None:
    _offer(registry, BASE, len(BASE))
    sent = 0

    def flood(handler: BaseHTTPRequestHandler) -> bool:
        nonlocal sent
        if sha256(BASE) not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for _ in range(2000):
                handler.wfile.write(b"%x\r\n%s\r\n" % (65536, bytes(65536)))
                sent += 65536
        except OSError:
            pass
        handler.close_connection = True
        return True

    registry.respond = flood
    refused(images, registry, tmp_path, DigestMismatch, "unexpected digest")
    assert sent < 100 << 20


def test_a_layer_that_is_not_what_the_configuration_says_is_refused(
    images: Images, registry: Registry, tmp_path: Path
) -> None:
    other = gzip.compress(layer({"b": b"other"}))
    document = configuration(BASE)
    registry.blobs.update({sha256(document): document, sha256(other): other})
    layers = [descriptor(other, "application/vnd.docker.image.rootfs.diff.tar.gzip")]
    manifest = {"schemaVersion": 2, "config": descriptor(document, CONFIG), "layers": layers}
    registry.add_manifest("1", MANIFEST, manifest)
    refused(images, registry, tmp_path, DigestMismatch, "digest|diff")


def test_redirects_that_lead_in_a_circle_are_not_followed_for_ever(
    images: Images, registry: Registry, tmp_path: Path
) -> None:
    def circle(handler: BaseHTTPRequestHandler) -> bool:
        reply(handler, 307, Location=handler.path)
        return True

    registry.respond = circle
    refused(images, registry, tmp_path, ArgosyError, "stopped after 10 redirects")
    assert len(registry.requests) <= 10


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher:x"])
def test_redirects_lead_to_http_only(images: Images, registry: Registry, tmp_path: Path, place: str) -> None:
    def away(handler: BaseHTTPRequestHandler) -> bool:
        reply(handler, 302, Location=place)
        return True

    registry.respond = away
    refused(images, registry, tmp_path, ArgosyError, "unsupported protocol scheme")


def test_another_host_cannot_ask_for_the_registrys_password(
    images: Images, registry: Registry, tmp_path: Path
) -> None:
    registry.token, registry.password = "secret", "pw"
    registry.add_image("1", [BASE])
    with serving() as thief:

        def redirect(handler: BaseHTTPRequestHandler) -> bool:
            if "/blobs/" in handler.path and "Authorization" in handler.headers:
                reply(handler, 307, Location=f"http://localhost:{thief.port}{handler.path}")
                return True
            return False

        def ask(handler: BaseHTTPRequestHandler) -> bool:
            challenge = f'Bearer realm="http://localhost:{thief.port}/token"'
            refuse(handler, 401, "UNAUTHORIZED", "who are you?", WWW_Authenticate=challenge)
            return True

        registry.respond, thief.respond = redirect, ask
        with pytest.raises(ArgosyError, match="who are you"):
            images.pull(f"{registry.host}/x:1", credentials=Credentials("me", "pw"))
        assert thief.requests
        assert not thief.paths("/token")
        assert not any("Authorization" in headers for _, headers in thief.requests)


def test_a_token_that_runs_out_on_the_way_is_replaced(images: Images, registry: Registry) -> None:
    registry.token = "first"
    registry.add_image("1", [BASE])
    registry.cut = 50_000

    def expire(handler: BaseHTTPRequestHandler) -> bool:
        if "/blobs/" in handler.path and len(registry.paths(sha256(BASE))) == 2:
            registry.token = "second"
        return False

    registry.respond = expire
    images.pull(f"{registry.host}/x:1")
    assert len(registry.paths("/token")) == 2
    assert images.content.verify(sha256(BASE))


def test_a_registry_that_hangs_up_is_asked_again(images: Images, registry: Registry) -> None:
    registry.add_image("1", [BASE])

    def hang_up(handler: BaseHTTPRequestHandler) -> bool:
        if "/manifests/" not in handler.path or len(registry.paths("/manifests/")) > 2:
            return False
        handler.close_connection = True
        handler.connection.close()
        return True

    images.pull(f"{registry.host}/x:1")
    images.remove(f"{registry.host}/x:1", force=True)
    registry.requests.clear()
    registry.respond = hang_up
    images.pull(f"{registry.host}/x:1")
    assert len(registry.paths("/manifests/")) == 3


def test_tags_come_page_after_page_and_no_page_leads_back_for_ever(
    images: Images, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag in ("1", "2", "3"):
        registry.add_image(tag, [BASE])
    pages: dict[str, tuple[str, dict[str, str]]] = {
        "/v2/x/tags/list": ('["1","2"]', {"Link": '</v2/x/tags/list?last=2>; rel="next"'}),
        "/v2/x/tags/list?last=2": ('["3"]', {}),
    }

    def answer(handler: BaseHTTPRequestHandler) -> bool:
        if handler.path not in pages:
            return False
        tags, headers = pages[handler.path]
        reply(handler, 200, f'{{"name":"x","tags":{tags}}}'.encode(), **headers)
        return True

    registry.respond = answer
    messages: list[dict[str, Any]] = []
    images.pull_all_tags(f"{registry.host}/x", progress=messages.append)
    names = [message["id"] for message in messages if str(message["status"]).startswith("Pulling from")]
    assert names == ["1", "2", "3"]
    assert messages[-1] == {"status": f"Status: Downloaded newer image for {registry.host}/x"}
    assert images.resolve(f"{registry.host}/x:3").tags == tuple(f"{registry.host}/x:{n}" for n in (1, 2, 3))

    monkeypatch.setattr(registries, "_PAGE_LIMIT", 20)
    pages["/v2/x/tags/list?last=2"] = ('["3"]', {"Link": '</v2/x/tags/list>; rel="next"'})
    with pytest.raises(InvalidParameter, match="more than 20 pages"):
        images.pull_all_tags(f"{registry.host}/x")
    pages["/v2/x/tags/list"] = ('["../../etc"]', {})
    with pytest.raises(InvalidParameter, match="invalid tag format"):
        images.pull_all_tags(f"{registry.host}/x")
