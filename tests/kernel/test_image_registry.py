"""Against Debian's registry server, with images that another engine's form of archive brought in."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from argosy.database import Database
from argosy.errors import ArgosyError, NotFound
from argosy.image import Images, tarwrite
from argosy.image import digest as digests
from argosy.image.tar import REGULAR, padding
from argosy.image.transport import Transport, TransportError, release
from argosy.spec import oci_image
from image_store import unfinished
from registry_fixture import make_certificates, registry_server, tunnel

pytestmark = pytest.mark.root

SERVER = shutil.which("docker-registry") or "docker-registry"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": os.fspath(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen([SERVER, "serve", tmp_path / "config.yml"], stdout=log, stderr=log)
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("the registry does not start")


def _upload(registry: str, name: str, data: bytes) -> str:
    digest = digests.of_bytes(data)
    start = urllib.request.Request(f"http://{registry}/v2/{name}/blobs/uploads/", method="POST")
    with urllib.request.urlopen(start) as response:
        location = response.headers["Location"]
    put = urllib.request.Request(f"{location}&digest={digest}", data, method="PUT")
    put.add_header("Content-Type", "application/octet-stream")
    urllib.request.urlopen(put).close()
    return digest


def _push(registry: str, name: str, tag: str, images: Images, image: str) -> str:
    record = images.resolve(image)

    def descriptor(digest: str, media_type: str) -> dict[str, Any]:
        with images.content.open(digest) as blob:
            data = blob.read_all()
        return {"mediaType": media_type, "digest": _upload(registry, name, data), "size": len(data)}

    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": oci_image.OCI_MANIFEST,
            "config": descriptor(record.id, oci_image.OCI_CONFIG),
            "layers": [descriptor(diff_id, oci_image.OCI_LAYER) for diff_id in record.diff_ids],
        }
    ).encode()
    put = urllib.request.Request(f"http://{registry}/v2/{name}/manifests/{tag}", manifest, method="PUT")
    put.add_header("Content-Type", oci_image.OCI_MANIFEST)
    urllib.request.urlopen(put).close()
    return digests.of_bytes(manifest)


def _tree(seed: bytes, count: int = 30) -> io.BytesIO:
    output = io.BytesIO()
    for number in range(count):
        data = seed * (1000 * (number + 1))
        header = tarwrite.header(b"d%d/f" % number, REGULAR, mode=0o644, size=len(data))
        output.write(header + data + bytes(padding(len(data))))
    output.write(tarwrite.END)
    output.seek(0)
    return output


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Images]:
    database = Database(os.fspath(tmp_path / "source.db"))
    images = Images(os.fspath(tmp_path / "source"), database)
    yield images
    images.close()
    database.close()


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    database = Database(os.fspath(tmp_path / "images.db"))
    opened = Images(os.fspath(tmp_path / "images"), database)
    yield opened
    opened.close()
    database.close()


def test_an_image_is_pulled_by_tag_and_by_digest(source: Images, images: Images, registry: str) -> None:
    image = source.import_(_tree(b"x"), repository="app", changes=["CMD run"])
    digest = _push(registry, "team/app", "1", source, image)
    assert images.pull(f"{registry}/team/app:1").id == image
    record = images.pull(f"{registry}/team/app@{digest}")
    assert record.tags == (f"{registry}/team/app:1",)
    assert record.digests == (f"{registry}/team/app@{digest}",)
    assert record.size == source.resolve(image).size
    with pytest.raises(NotFound, match="manifest unknown"):
        images.pull(f"{registry}/team/app:2")
    with pytest.raises(NotFound):
        images.pull(f"{registry}/team/other:1")


def test_what_is_pulled_is_saved_and_loaded_bit_by_bit(source: Images, images: Images, registry: str) -> None:
    image = source.import_(_tree(b"y"), repository="app")
    _push(registry, "app", "1", source, image)
    images.pull(f"{registry}/app:1")
    images.tag(image, "app")
    outputs = [io.BytesIO(), io.BytesIO()]
    source.save(["app"], outputs[0].write)
    images.save(["app"], outputs[1].write)
    assert outputs[0].getvalue() == outputs[1].getvalue()


def test_a_client_that_goes_away_ends_the_push(source: Images, registry: str) -> None:
    source.import_(io.BytesIO(_tree(os.urandom(1000)).getvalue()), repository=f"{registry}/app")
    said: list[str] = []

    def gone(message: dict[str, Any]) -> None:
        said.append(message["status"])
        if message["status"] == "Pushing":
            raise BrokenPipeError

    began = time.monotonic()
    with pytest.raises(ArgosyError, match="context canceled"):
        source.push(f"{registry}/app", tag="latest", progress=gone)
    assert said.count("Pushing") == 1
    assert time.monotonic() - began < 5


VICTIM = """
import sys
from argosy.database import Database
from argosy.image import Images
root, reference = sys.argv[1:]
images = Images(root, Database(root + ".db"))
images.recover(set())
while True:
    images.pull(reference)
    print("pulled", flush=True)
    images.remove(reference, force=True)
    print("removed", flush=True)
"""


def test_a_kill_at_any_moment_leaves_nothing_half(source: Images, registry: str, tmp_path: Path) -> None:
    image = source.import_(_tree(b"z", 60), repository="app")
    _push(registry, "app", "1", source, image)
    root = os.fspath(tmp_path / "victim")
    for attempt in range(6):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, root, f"{registry}/app:1"], stdout=subprocess.PIPE
        )
        assert victim.stdout is not None
        with victim.stdout:
            victim.stdout.readline()
            time.sleep(0.007 * attempt)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        _require_sound(root)


def _require_sound(root: str) -> None:
    database = Database(root + ".db")
    images = Images(root, database)
    images.recover(set())
    present: set[str] = set()
    for summary in images.list():
        record = images.resolve(summary.id)
        assert record.chain_id is None or images.snapshotter.exists(record.chain_id)
        present.update((record.id, *record.diff_ids))
    assert set(images.content.walk()) == present
    assert all(images.content.verify(digest) for digest in present)
    assert unfinished(root) == []
    images.close()
    database.close()


def test_a_registry_that_wants_a_certificate_gets_the_one_kept_for_it(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with registry_server(tmp_path, certificates=tmp_path, clients=True) as address:
        url = f"https://{address}/v2/"
        own = tmp_path / "certs.d" / address
        own.mkdir(parents=True)
        for names, expected in (
            ((), "failed to verify certificate"),
            (("ca.crt",), "certificate required"),
            (("ca.crt", "client.cert", "client.key"), ""),
        ):
            for name in names:
                shutil.copy(tmp_path / name, own)
            transport = Transport([os.fspath(tmp_path / "absent"), os.fspath(tmp_path / "certs.d")])
            if expected:
                with pytest.raises(TransportError, match=expected):
                    transport.request("GET", url, {})
            else:
                response = transport.request("GET", url, {})
                assert response.status == 200
                release(response)
            transport.close()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_proxy_is_led_through_to_a_registry_behind_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificates(tmp_path)
    lines: list[str] = []
    with registry_server(tmp_path, certificates=tmp_path) as address, tunnel(address, lines) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "elsewhere.example")
        transport = Transport([])
        with pytest.raises(TransportError, match="failed to verify certificate"):
            transport.request("GET", "https://registry.example/v2/", {})
        response = transport.request("GET", "https://registry.example/v2/", {}, insecure=True)
        assert response.status == 200
        release(response)
        transport.close()
    assert [line.rpartition(" ")[0] for line in lines] == ["CONNECT registry.example:443"] * 2
