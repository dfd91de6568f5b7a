"""Large layers from slow registries, whose parts come side by side."""

import itertools
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from argosy.errors import ArgosyError
from argosy.image import Images, fetch
from argosy.image.content import DigestMismatch
from image_store import unfinished

from .registry_server import Registry, refuse, serving
from .samples import layer, sha256

LARGE = layer({"a": os.urandom(600_000)})


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry whose pace makes it worth while to ask for parts."""
    monkeypatch.setattr(fetch, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(fetch, "_TRIAL", 0.01)
    monkeypatch.setattr(fetch, "_TOO_MUCH_WAITING", 0.0)
    monkeypatch.setattr(fetch, "_LARGE", 100_000)
    monkeypatch.setattr(fetch, "_PART", 50_000)
    monkeypatch.setattr("argosy.image.decompress.CHUNK", 20_000)
    monkeypatch.setattr("argosy.image.layers.CHUNK_SIZE", 20_000)
    with serving() as registry:
        registry.pause = 0.005
        registry.add_image("1", [LARGE])
        yield registry


def parts(registry: Registry) -> list[str]:
    asked = [headers.get("Range", "") for path, headers in registry.requests if sha256(LARGE) in path]
    return [text for text in asked if not text.endswith("-") and text]


def fetchers() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("fetch-part")]


def test_a_large_layer_of_a_slow_registry_comes_in_parts(images: Images, slow: Registry) -> None:
    images.pull(f"{slow.host}/x:1")
    assert images.content.verify(sha256(LARGE))
    found = sorted(tuple(map(int, text.removeprefix("bytes=").split("-"))) for text in parts(slow))
    assert len(found) > 5
    assert all(last + 1 == start for (_, last), (start, _) in itertools.pairwise(found))
    assert fetchers() == []


def test_a_registry_without_ranges_is_left_alone(images: Images, slow: Registry) -> None:
    slow.ranges = False
    images.pull(f"{slow.host}/x:1")
    assert images.content.verify(sha256(LARGE))
    assert parts(slow) == []


def test_a_part_that_breaks_off_is_resumed(images: Images, slow: Registry) -> None:
    cut: set[str] = set()

    def cut_once(handler: BaseHTTPRequestHandler) -> bool:
        asked = handler.headers.get("Range", "")
        if not asked or asked in cut or len(cut) > 3:
            return False
        cut.add(asked)
        start, _, last = asked.removeprefix("bytes=").partition("-")
        handler.send_response(206)
        handler.send_header("Content-Length", str(int(last) + 1 - int(start)))
        handler.end_headers()
        handler.wfile.write(LARGE[int(start) : int(start) + 1000])
        handler.close_connection = True
        return True

    slow.respond = cut_once
    images.pull(f"{slow.host}/x:1")
    assert len(cut) == 4
    assert images.content.verify(sha256(LARGE))


def test_a_part_that_is_wrong_makes_the_whole_wrong(images: Images, slow: Registry, tmp_path: Path) -> None:
    def lie(handler: BaseHTTPRequestHandler) -> bool:
        if parts(slow):
            slow.blobs[sha256(LARGE)] = bytes(len(LARGE))
        return False

    slow.respond = lie
    with pytest.raises(DigestMismatch):
        images.pull(f"{slow.host}/x:1")
    assert unfinished(tmp_path / "root") == []
    assert fetchers() == []


def test_a_part_that_cannot_be_had_ends_the_pull(images: Images, slow: Registry, tmp_path: Path) -> None:
    def vanish(handler: BaseHTTPRequestHandler) -> bool:
        if len(parts(slow)) < 3:
            return False
        refuse(handler, 404, "BLOB_UNKNOWN", "gone")
        return True

    slow.respond = vanish
    with pytest.raises(ArgosyError, match="gone"):
        images.pull(f"{slow.host}/x:1")
    assert unfinished(tmp_path / "root") == []
    assert fetchers() == []
