"""Images in OCI layouts as named contexts, by our command and by buildx, which serves them to the engine."""

import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from docker_plugins import write_config
from engine_fixture import LocalEngine

ARGOSY = [sys.executable, "-m", "argosy.cli.main", "build"]


@pytest.fixture(params=["argosy", "buildx"])
def client(request: pytest.FixtureRequest, module_engine: LocalEngine) -> list[str]:
    if request.param == "argosy":
        return ARGOSY
    write_config(Path(module_engine.environment["DOCKER_CONFIG"]))
    return ["docker", "buildx", "build"]


@pytest.fixture
def layout(module_engine: LocalEngine, tmp_path: Path) -> Path:
    """An image that is nowhere else, its layer compressed as registries have it."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "Dockerfile").write_text("FROM scratch\nCOPY f /from-layout\nENV KEPT=yes\n")
    (made / "f").write_text(f"laid out {tmp_path}")
    module_engine.ok("build", "-t", "laid:v1", "-o", f"type=oci,dest={tmp_path}/l.tar", str(made))
    directory = tmp_path / "layout"
    with tarfile.open(tmp_path / "l.tar") as archive:
        archive.extractall(directory, filter="data")
    _compress(directory)
    module_engine.ok("builder", "prune", "-af")
    return directory


def _compress(directory: Path) -> None:
    def blob(digest: str) -> Path:
        return directory / "blobs/sha256" / digest.removeprefix("sha256:")

    def put(data: bytes) -> tuple[str, int]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blob(digest).write_bytes(data)
        return digest, len(data)

    index = json.loads((directory / "index.json").read_text())
    (entry,) = index["manifests"]
    manifest = json.loads(blob(entry["digest"]).read_text())
    for layer in manifest["layers"]:
        plain = blob(layer["digest"])
        layer["digest"], layer["size"] = put(gzip.compress(plain.read_bytes()))
        layer["mediaType"] += "+gzip"
        plain.unlink()
    entry["digest"], entry["size"] = put(json.dumps(manifest).encode())
    (directory / "index.json").write_text(json.dumps(index))


def build(engine: LocalEngine, client: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*client, "--progress=plain", *words],
        env=engine.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_layout_stands_for_an_image(
    module_engine: LocalEngine, client: list[str], layout: Path, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM busybox AS copied\nCOPY --from=base /from-layout /copied\nRUN cp /copied /ran\n"
        "FROM base\nCOPY --from=copied /ran /ran\n"
    )
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    for suffix in (":v1", f"@{digest}"):
        out = tmp_path / f"out{suffix[:2]}"
        words = ("--build-context", f"base=oci-layout://{layout}{suffix}", "-o", str(out), str(context))
        done = build(module_engine, client, *words)
        assert done.returncode == 0, done.stderr
        assert (out / "from-layout").read_text() == (out / "ran").read_text() == f"laid out {tmp_path}"
    assert "laid" not in module_engine.ok("images", "-a")
    words = ("--build-context", f"base=oci-layout://{layout}:v1", "-t", "onlayout", str(context))
    assert build(module_engine, client, *words).returncode == 0
    assert "KEPT=yes" in module_engine.ok("image", "inspect", "onlayout")
    module_engine.ok("rmi", "onlayout")


def test_a_tag_that_a_layout_does_not_have_is_an_error(
    module_engine: LocalEngine, layout: Path, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM base\n")
    words = ("--build-context", f"base=oci-layout://{layout}:other", str(tmp_path))
    done = build(module_engine, ARGOSY, *words)
    assert done.returncode == 1
    assert "has no image other" in done.stderr and "It has: v1" in done.stderr


def test_a_damaged_layout_is_no_image(
    module_engine: LocalEngine, client: list[str], layout: Path, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM base\n")
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    (layout / "blobs/sha256" / digest.removeprefix("sha256:")).write_text("{}")
    done = build(module_engine, client, "--build-context", f"base=oci-layout://{layout}:v1", str(tmp_path))
    assert done.returncode == 1
    assert "the layout is damaged" in done.stderr and "Traceback" not in done.stderr
