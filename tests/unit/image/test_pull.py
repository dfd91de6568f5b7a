"""Pulling from a registry that behaves, and from some that do not."""

import gzip
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import zstandard

from argosy.errors import ArgosyError, InvalidParameter, NotFound
from argosy.image import Credentials, Images, fetch
from argosy.image.content import DigestMismatch
from argosy.image.platforms import host_platform
from argosy.spec import oci_image
from image_store import unfinished

from .registry_server import INDEX, MANIFEST, Registry, refuse, reply, serving
from .samples import configuration, descriptor, layer, sha256

BASE = layer({"a": os.urandom(300_000)})
TOP = layer({"b": b"top"})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(fetch, "_FIRST_PAUSE", 0.001)
    with serving() as server:
        yield server


def pull(images: Images, registry: Registry, name: str = "x:1", **options: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    images.pull(f"{registry.host}/{name}", progress=messages.append, **options)
    return messages


def test_a_pull_brings_the_image_and_tells_the_story_as_docker_does(
    images: Images, registry: Registry
) -> None:
    stored = [gzip.compress(BASE), gzip.compress(TOP)]
    digest = registry.add_image("1", [BASE, TOP], stored, Cmd=["run"])
    messages = pull(images, registry)
    record = images.resolve(f"{registry.host}/x:1")
    assert (record.diff_ids, record.config.cmd) == ([sha256(BASE), sha256(TOP)], ["run"])
    assert record.digests == (f"{registry.host}/x@{digest}",)
    first, second = (sha256(data)[7:19] for data in stored)
    assert messages[:3] == [
        {"status": "Pulling from x", "id": "1"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": first},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": second},
    ]
    steps = [message["status"] for message in messages if message.get("id") == first]
    assert list(dict.fromkeys(steps)) == [
        "Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Extracting",
        "Pull complete",
    ]  # fmt: skip
    assert [message["status"] for message in messages[-2:]] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {registry.host}/x:1",
    ]


def test_what_is_here_is_not_fetched_again(images: Images, registry: Registry) -> None:
    registry.add_image("1", [BASE])
    registry.add_image("2", [BASE, TOP])
    pull(images, registry)
    registry.requests.clear()
    messages = pull(images, registry, "x:2")
    assert "Already exists" in [message["status"] for message in messages]
    assert sha256(BASE) not in " ".join(registry.paths("/blobs/"))
    again = pull(images, registry, "x:2")
    assert again[-1]["status"] == f"Status: Image is up to date for {registry.host}/x:2"
    assert len(again) == 3


def test_a_pull_by_digest_sets_no_tag(images: Images, registry: Registry) -> None:
    digest = registry.add_image("1", [BASE])
    pull(images, registry, f"x@{digest}")
    record = images.resolve(f"{registry.host}/x@{digest}")
    assert (record.tags, len(record.digests)) == ((), 1)
    pull(images, registry, "x", tag=digest)
    with pytest.raises(NotFound, match=f"manifest for .*x@sha256:{'0' * 64} not found: manifest unknown"):
        pull(images, registry, "x@sha256:" + "0" * 64)


def test_an_index_leads_to_the_platforms_manifest(images: Images, registry: Registry) -> None:
    host = host_platform()
    other = "arm64" if host.architecture != "arm64" else "amd64"
    entries = []
    for architecture, layers in ((other, [TOP]), (host.architecture, [BASE])):
        digest = registry.add_image(architecture, layers)
        size = len(registry.manifests[digest][1])
        platform = {"os": "linux", "architecture": architecture}
        entries.append({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform})
    index = registry.add_manifest("1", INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    pull(images, registry)
    record = images.resolve(f"{registry.host}/x:1")
    assert (record.diff_ids, record.digests) == ([sha256(BASE)], (f"{registry.host}/x@{index}",))
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x in the manifest list entries"):
        pull(images, registry, platform="linux/s390x")
    # Without an index there is no choice; the image comes, and a word with it.
    told = pull(images, registry, f"x:{host.architecture}", platform="linux/s390x")[-1]["status"]
    assert told.endswith("does not match the specified platform (linux/s390x)")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_transfer_that_breaks_off_is_resumed(images: Images, registry: Registry, ranges: bool) -> None:
    registry.add_image("1", [BASE])
    registry.ranges = ranges
    registry.cut = 100_000
    if not ranges:

        def lengthen(_: BaseHTTPRequestHandler) -> bool:
            registry.cut += 50_000
            return False

        registry.respond = lengthen
    pull(images, registry)
    assert images.content.verify(sha256(BASE))
    assert len(registry.paths(sha256(BASE))) > 1


def test_a_registry_that_always_cuts_is_given_up(images: Images, registry: Registry, tmp_path: Path) -> None:
    registry.add_image("1", [BASE])

    def cut(handler: BaseHTTPRequestHandler) -> bool:
        if sha256(BASE) not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BASE)))
        handler.end_headers()
        handler.close_connection = True
        return True

    registry.respond = cut
    with pytest.raises(ArgosyError, match=r"broke off|EOF"):
        pull(images, registry)
    assert len(registry.paths(sha256(BASE))) == 5
    assert unfinished(tmp_path / "root") == []
    assert images.list() == []


def test_damaged_content_is_refused(images: Images, registry: Registry) -> None:
    digest = registry.add_image("1", [BASE])
    registry.blobs[sha256(BASE)] = TOP.ljust(len(BASE), b"\0")
    with pytest.raises(DigestMismatch):
        pull(images, registry)
    registry.manifests[digest] = (MANIFEST, b'{"schemaVersion":2}')
    with pytest.raises(DigestMismatch, match="manifest verification failed"):
        pull(images, registry, f"x@{digest}")
    assert images.list() == []


def test_a_token_is_fetched_once_and_kept(images: Images, registry: Registry) -> None:
    registry.token = "secret"
    registry.add_image("1", [BASE, TOP])
    pull(images, registry)
    assert len(registry.paths("/token")) == 1
    assert "scope=repository%3Ax%3Apull" in registry.paths("/token")[0]


def test_credentials_go_to_the_token_service(images: Images, registry: Registry) -> None:
    registry.token, registry.password = "secret", "pw"
    registry.add_image("1", [BASE])
    with pytest.raises(ArgosyError, match="unauthorized: incorrect username or password"):
        pull(images, registry, credentials=Credentials("me", "wrong"))
    pull(images, registry, credentials=Credentials("me", "pw"))


def test_a_redirect_to_another_host_takes_no_authorization_along(images: Images, registry: Registry) -> None:
    registry.token = "secret"
    registry.add_image("1", [BASE])
    with serving() as store:
        store.blobs = registry.blobs

        def redirect(handler: BaseHTTPRequestHandler) -> bool:
            if "/blobs/" not in handler.path:
                return False
            reply(handler, 307, Location=f"http://localhost:{store.port}{handler.path}")
            return True

        registry.respond = redirect
        pull(images, registry)
        assert store.requests
        assert not any("Authorization" in headers for _, headers in store.requests)


@pytest.mark.parametrize(
    ("status", "code", "text", "kind", "message"),
    [
        (403, "DENIED", "nope", NotFound, "pull access denied for .*/x, repository does not exist or may "
         "require 'docker login': denied: nope"),
        (404, "NAME_UNKNOWN", "gone", NotFound, "repository .*/x not found: name unknown: gone"),
        (429, "TOOMANYREQUESTS", "slow down", ArgosyError, "toomanyrequests: slow down"),
        (500, "UNKNOWN", "broken", ArgosyError, "unknown: broken"),
    ],
)  # fmt: skip
def test_refusals_are_told_in_dockers_words(
    images: Images,
    registry: Registry,
    status: int,
    code: str,
    text: str,
    kind: type[ArgosyError],
    message: str,
) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        refuse(handler, status, code, text)
        return True

    registry.respond = answer
    with pytest.raises(kind, match=message):
        pull(images, registry)


def test_a_missing_tag_is_not_found(images: Images, registry: Registry) -> None:
    with pytest.raises(NotFound, match=r"manifest for .*/x:1 not found: manifest unknown: manifest unknown"):
        pull(images, registry)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"schemaVersion": 1, "name": "x"}, "schema 1 is not supported"),
        ({"schemaVersion": 2, "config": {"mediaType": "application/x-chart"}}, "Encountered remote"),
        ({"schemaVersion": 2, "padding": "x" * (4 << 20)}, "larger than"),
        ({"schemaVersion": 2, "config": {"digest": "../../x"}}, "invalid digest"),
    ],
)  # fmt: skip
def test_documents_that_are_no_image_are_refused(
    images: Images, registry: Registry, manifest: dict[str, Any], message: str
) -> None:
    registry.add_manifest("1", MANIFEST, manifest)
    with pytest.raises(InvalidParameter, match=message):
        pull(images, registry)


def test_a_client_that_goes_away_ends_the_pull(images: Images, registry: Registry) -> None:
    registry.add_image("1", [BASE])

    def gone(_: dict[str, Any]) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        images.pull(f"{registry.host}/x:1", progress=gone)
    assert images.list() == []


def _zstd_chunked(data: bytes) -> bytes:
    """With what the format puts behind it: a frame that decompressors skip."""
    return zstandard.compress(data) + b"\x50\x2a\x4d\x18" + (8).to_bytes(4, "little") + bytes(8)


@pytest.mark.parametrize(
    ("media_type", "store"),
    [
        ("application/vnd.oci.image.layer.v1.tar", bytes),
        ("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress),
        ("application/vnd.oci.image.layer.v1.tar+zstd", zstandard.compress),
        ("application/vnd.oci.image.layer.v1.tar+zstd", _zstd_chunked),
    ],
    ids=["plain", "gzip", "zstd", "zstd:chunked"],
)
def test_layers_come_in_every_form(
    images: Images, registry: Registry, media_type: str, store: Callable[[bytes], bytes]
) -> None:
    document, stored = configuration(BASE), store(BASE)
    registry.blobs.update({sha256(document): document, sha256(stored): stored})
    registry.add_manifest(
        "1",
        oci_image.OCI_MANIFEST,
        {
            "schemaVersion": 2,
            "config": descriptor(document, oci_image.OCI_CONFIG),
            "layers": [descriptor(stored, media_type)],
        },
    )
    pull(images, registry)
    assert images.resolve(f"{registry.host}/x:1").diff_ids == [sha256(BASE)]
    assert images.content.verify(sha256(BASE))


def test_a_layer_that_the_registry_may_not_have_comes_from_its_urls(
    images: Images, registry: Registry
) -> None:
    registry.token = "secret"
    document = configuration(BASE)
    registry.blobs[sha256(document)] = document
    with serving() as elsewhere:
        elsewhere.blobs[sha256(BASE)] = BASE
        elsewhere.cut = 200_000
        place = f"http://127.0.0.1:{elsewhere.port}"
        entry = {
            **descriptor(BASE, "application/vnd.docker.image.rootfs.foreign.diff.tar"),
            "urls": [f"{place}/absent", f"{place}/blobs/{sha256(BASE)}"],
        }
        config = descriptor(document, oci_image.DOCKER_CONFIG)
        registry.add_manifest("1", MANIFEST, {"schemaVersion": 2, "config": config, "layers": [entry]})
        pull(images, registry)
        assert images.content.verify(sha256(BASE))
        assert not any("Authorization" in headers for _, headers in elsewhere.requests)
