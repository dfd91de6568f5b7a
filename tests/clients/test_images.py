"""Images that come from elsewhere than a registry, and images for one of several platforms."""

import functools
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_fixture import LocalEngine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system's archive."""
    path = tmp_path / "root.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"text"))
    return path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(root: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(root.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["argosy", "docker"])
def test_an_image_is_made_of_what_is_at_a_url(
    engine: LocalEngine, address: str, root: Path, name: str
) -> None:
    client = engine.argosy if name == "argosy" else engine.docker
    answer = client("import", f"{address}/{root.name}", "fetched")
    assert answer.code == 0, answer.stderr
    assert answer.stdout.splitlines()[0] == f"Downloading from {address}/{root.name}"
    shown = engine.ok("history", "--format", "{{.Comment}}", "fetched")
    assert shown == f"Imported from {address}/{root.name}"
    engine.ok("rmi", "fetched")
    answer = client("import", f"{address}/missing", "fetched")
    assert answer.code == 1
    assert f"failed to GET {address}/missing with status 404" in answer.stderr


def saved_tags(engine: LocalEngine, *words: str) -> list[str]:
    path = engine.directory / "saved.tar"
    engine.ok("save", "-o", str(path), *words)
    with tarfile.open(path) as archive:
        member = archive.extractfile("manifest.json")
        assert member
        return sorted(tag for item in json.load(member) for tag in item["RepoTags"] or [])


def test_images_are_chosen_by_their_platform(engine: LocalEngine, root: Path) -> None:
    engine.ok("import", "--platform", "linux/arm64", str(root), "of:arm")
    engine.ok("import", str(root), "of:own")
    try:
        assert saved_tags(engine, "of") == ["of:arm", "of:own"]
        assert saved_tags(engine, "--platform", "linux/arm64", "of:arm") == ["of:arm"]
        answer = engine.docker("save", "--platform", "linux/s390x", "of:arm", "-o", "/dev/null")
        assert answer.code == 1
        for client in (engine.argosy, engine.docker):
            answer = client("image", "inspect", "--platform", "linux/s390x", "of:arm")
            assert "(linux/arm64) does not match the specified platform (linux/s390x)" in answer.stderr
            assert client("image", "inspect", "--platform", "linux/arm64", "of:arm").code == 0
            archive = engine.directory / "of.tar"
            engine.ok("save", "-o", str(archive), "of")
            engine.ok("rmi", "of:arm", "of:own")
            answer = client("load", "--platform", "linux/arm64", "-i", str(archive))
            assert answer.stdout == "Loaded image: of:arm\n"
            engine.ok("load", "-i", str(archive))
    finally:
        engine.ok("rmi", "-f", "of:arm", "of:own")
