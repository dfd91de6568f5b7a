"""Archives that other tools write and read: docker's, podman's and skopeo's."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_fixture import LocalEngine


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def content(engine: LocalEngine, name: str) -> str:
    """What an image is; its ID is of how that is spelled, and tools spell OCI's form their own way."""
    return engine.ok("image", "inspect", "--format", "{{json .RootFS}} {{.Config.Cmd}} {{.Config.Env}}", name)


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """With a store of its own."""
    # It takes no runroot of more than 50 characters.
    with tempfile.TemporaryDirectory(prefix="podman-") as short:
        yield ("podman", "--root", str(tmp_path / "p"), "--runroot", short, "--storage-driver", "vfs")


@pytest.fixture
def layered(engine: LocalEngine, tmp_path: Path) -> Iterator[str]:
    """The ID of an image, tagged `layered:1`."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("own")
    tar = subprocess.run(["tar", "-c", "-C", str(tree), "."], check=True, capture_output=True).stdout
    found = engine.ok("import", "-c", "CMD own", "-c", "ENV A=b", "-", "layered:1", stdin=tar)
    yield found
    for name in engine.ok("images", "--format", "{{.Repository}}:{{.Tag}}").splitlines():
        if "layered" in name:
            engine.argosy("rmi", "-f", name)


def test_skopeo_reads_what_we_save_and_we_load_what_it_writes(
    engine: LocalEngine, layered: str, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.tar"
    before = content(engine, "layered:1")
    engine.ok("save", "-o", str(saved), "layered:1")
    inspected = json.loads(run("skopeo", "inspect", "--config", f"docker-archive:{saved}"))
    assert inspected["config"]["Cmd"] == ["/bin/sh", "-c", "own"]
    for form in ("docker-archive", "oci-archive"):
        written = tmp_path / f"{form}.tar"
        policy = ("--insecure-policy",)
        run("skopeo", *policy, "copy", f"docker-archive:{saved}", f"{form}:{written}:layered:2")
        engine.ok("rmi", "-f", engine.ok("image", "inspect", "--format", "{{.Id}}", "layered:1"))
        loaded = engine.ok("load", "-i", str(written))
        assert loaded.startswith("Loaded image")
        name = loaded.split(": ")[1]
        assert content(engine, name) == before
        engine.ok("tag", name, "layered:1")


def test_podman_reads_what_we_save_and_we_load_what_it_writes(
    engine: LocalEngine, layered: str, tmp_path: Path, podman: tuple[str, ...]
) -> None:
    saved = tmp_path / "saved.tar"
    before = content(engine, "layered:1")
    engine.ok("save", "-o", str(saved), "layered:1")
    run(*podman, "load", "-i", str(saved))
    image = run(*podman, "image", "ls", "--no-trunc", "--format", "{{.ID}}")
    assert image.removeprefix("sha256:") == layered.removeprefix("sha256:")
    name = run(*podman, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    for form in ("docker-archive", "oci-archive"):
        written = tmp_path / f"{form}.tar"
        run(*podman, "save", "--format", form, "-o", str(written), name)
        engine.ok("rmi", "-f", engine.ok("image", "inspect", "--format", "{{.Id}}", "layered:1"))
        loaded = engine.ok("load", "-i", str(written)).split(": ")[1]
        assert content(engine, loaded) == before
        engine.ok("tag", loaded, "layered:1")


def test_docker_reads_what_we_save_and_saving_is_deterministic(
    engine: LocalEngine, layered: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    engine.ok("save", "-o", str(first), "layered:1")
    assert engine.docker("save", "-o", str(second), "layered:1").code == 0
    assert first.read_bytes() == second.read_bytes()
    engine.ok("rmi", "-f", layered)
    engine.ok("load", "-i", str(first))
    engine.ok("save", "-o", str(second), "layered:1")
    assert first.read_bytes() == second.read_bytes()
