"""Builds for several platforms at once."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from engine_fixture import LocalEngine
from registry_fixture import registry_server

BOTH = ("--platform", "linux/amd64,linux/arm64")
NO_PROGRAMS = (
    "FROM --platform=$BUILDPLATFORM busybox AS made\nARG TARGETARCH\nRUN echo $TARGETARCH > /a\n"
    "FROM scratch\nCOPY --from=made /a /a\nCOPY f /f\n"
)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(NO_PROGRAMS)
    (tmp_path / "context/f").write_text("f")
    return tmp_path / "context"


def images(archive: Path) -> dict[str, Any]:
    """Each image's manifest by its platform."""
    with tarfile.open(archive) as opened:

        def blob(digest: str) -> Any:
            file = opened.extractfile("blobs/sha256/" + digest.removeprefix("sha256:"))
            assert file is not None
            return json.loads(file.read())

        index = opened.extractfile("index.json")
        assert index is not None
        (entry,) = json.loads(index.read())["manifests"]
        found = {}
        for each in blob(entry["digest"])["manifests"]:
            manifest = blob(each["digest"])
            configuration = blob(manifest["config"]["digest"])
            platform = f"{each['platform']['os']}/{each['platform']['architecture']}"
            assert platform == f"{configuration['os']}/{configuration['architecture']}"
            found[platform] = manifest
        return found


def test_stages_of_the_machines_own_platform_make_files_for_others(
    module_engine: LocalEngine, context: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "o.tar"
    answer = module_engine.argosy(
        "build", "--progress=plain", *BOTH, "-o", f"type=oci,dest={archive}", str(context)
    )
    assert answer.code == 0, answer.stderr
    assert "[linux/arm64 stage-1 2/3] COPY --from=made /a /a" in answer.stderr
    found = images(archive)
    layers = {platform: [each["digest"] for each in m["layers"]] for platform, m in found.items()}
    assert list(layers) == ["linux/amd64", "linux/arm64"]
    assert layers["linux/amd64"][0] != layers["linux/arm64"][0]
    assert layers["linux/amd64"][1] == layers["linux/arm64"][1]
    module_engine.ok("build", *BOTH, "-o", f"{tmp_path}/tree", str(context))
    for architecture in ("amd64", "arm64"):
        assert (tmp_path / f"tree/linux_{architecture}/a").read_text() == f"{architecture}\n"


def test_one_platform_goes_as_several_do_on_request(
    module_engine: LocalEngine, context: Path, tmp_path: Path
) -> None:
    words = ("--build-arg", "BUILDKIT_MULTI_PLATFORM=1", "--platform", "linux/arm64", str(context))
    module_engine.ok("build", "-o", f"{tmp_path}/tree", *words)
    assert (tmp_path / "tree/linux_arm64/a").read_text() == "arm64\n"
    module_engine.ok("build", "-o", f"type=oci,dest={tmp_path}/o.tar", *words)
    assert list(images(tmp_path / "o.tar")) == ["linux/arm64"]


def test_a_registry_gets_an_index(module_engine: LocalEngine, context: Path, tmp_path: Path) -> None:
    with registry_server(tmp_path) as address:
        name = f"{address}/both:1"
        meta = tmp_path / "meta"
        module_engine.ok("build", *BOTH, "--metadata-file", str(meta), "--push", "-t", name, str(context))
        index = json.loads(module_engine.ok("manifest", "inspect", "--insecure", name))
        assert [each["platform"]["architecture"] for each in index["manifests"]] == ["amd64", "arm64"]
        digest = json.loads(meta.read_text())["containerimage.digest"]
        (context / "next").write_text(f"FROM {address}/both@{digest}\nCOPY f /g\n")
        words = ("--platform", "linux/arm64", "-f", f"{context}/next", "-o", f"{tmp_path}/tree")
        module_engine.ok("build", *words, str(context))
        assert (tmp_path / "tree/a").read_text() == "arm64\n"
        module_engine.ok("rmi", f"{address}/both@{digest}")


def test_they_cannot_stay_here_under_one_name(module_engine: LocalEngine, context: Path) -> None:
    answer = module_engine.argosy("build", *BOTH, "-t", "both", str(context))
    assert answer.code == 1
    assert "several platforms cannot be stored here" in answer.stderr
    assert "--output type=oci" in answer.stderr


def test_a_program_of_another_platform_needs_an_emulator(
    module_engine: LocalEngine, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text('FROM scratch\nCOPY f /f\nRUN ["/f"]\n')
    words = ("--platform", "linux/wasm", "-o", f"{tmp_path}/tree", str(context))
    answer = module_engine.argosy("build", *words)
    assert answer.code == 1
    assert "cannot run programs for linux/wasm" in answer.stderr
    assert "qemu-user-static" in answer.stderr
