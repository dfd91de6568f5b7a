"""What builds attest, in every output that can carry it, asked for by our command and by buildx."""

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from docker_plugins import write_config
from engine_fixture import LocalEngine
from registry_fixture import registry_server

SECRET = "sesame-77ab"
ARGOSY = [sys.executable, "-m", "argosy.cli.main", "build"]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(
        "FROM busybox\nARG WHO=nobody\nCOPY status /var/lib/dpkg/status\n"
        "RUN --mount=type=secret,id=token echo $WHO > /who; test -s /run/secrets/token\n"
    )
    (tmp_path / "context/status").write_text(
        "Package: hello\nVersion: 2.10\nArchitecture: amd64\nStatus: install ok installed\n"
    )
    (tmp_path / "token").write_text(SECRET)
    return tmp_path / "context"


@pytest.fixture
def buildx(module_engine: LocalEngine) -> list[str]:
    write_config(Path(module_engine.environment["DOCKER_CONFIG"]))
    return ["docker", "buildx", "build", "--progress=plain"]


def run(engine: LocalEngine, *words: str) -> str:
    done = subprocess.run(
        words, env=engine.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


class Layout:
    """An OCI layout in a tar."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as archive:
            files = [(entry.name, archive.extractfile(entry)) for entry in archive if entry.isfile()]
            self._files = {name: file.read() for name, file in files if file is not None}
        (self.entry,) = json.loads(self._files["index.json"])["manifests"]
        self.index = self.blob(self.entry)

    def blob(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        data = self._files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
        assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"]
        assert len(data) == descriptor["size"]
        found: dict[str, Any] = json.loads(data)
        return found

    def statements(self) -> list[dict[str, Any]]:
        image, attestation = self.index["manifests"]
        assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert attestation["annotations"] == {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        }
        manifest = self.blob(attestation)
        assert self.blob(manifest["config"])["rootfs"]["diff_ids"] == [
            layer["digest"] for layer in manifest["layers"]
        ]
        found = []
        for layer in manifest["layers"]:
            assert layer["mediaType"] == "application/vnd.in-toto+json"
            statement = self.blob(layer)
            assert layer["annotations"] == {"in-toto.io/predicate-type": statement["predicateType"]}
            digests = [subject["digest"] for subject in statement["subject"]]
            assert digests == [{"sha256": image["digest"].removeprefix("sha256:")}]
            found.append(statement)
        return found


@pytest.mark.parametrize("client", ["argosy", "buildx"])
def test_an_archive_carries_how_it_was_made_and_what_is_in_it(
    module_engine: LocalEngine, context: Path, tmp_path: Path, buildx: list[str], client: str
) -> None:
    words = ["--attest", "type=provenance,mode=max", "--sbom=true", "--build-arg", "WHO=somebody"]
    words += ["--secret", f"id=token,src={tmp_path}/token", "-t", "some:1"]
    words += ["-o", f"type=oci,dest={tmp_path}/o.tar", str(context)]
    if client == "argosy":
        module_engine.ok("build", *words)
    else:
        run(module_engine, *buildx, *words)
    sbom, provenance = Layout(tmp_path / "o.tar").statements()
    assert sbom["predicateType"] == "https://spdx.dev/Document"
    names = {package["name"] for package in sbom["predicate"]["packages"]}
    assert names == {"image", "hello"}
    assert provenance["predicateType"] == "https://slsa.dev/provenance/v0.2"
    assert provenance["subject"][0]["name"] == "pkg:docker/some@1?platform=linux%2Famd64"
    predicate = provenance["predicate"]
    parameters = predicate["invocation"]["parameters"]
    assert parameters["args"]["build-arg:WHO"] == "somebody"
    assert parameters["secrets"] == [{"id": "token"}]
    assert SECRET not in json.dumps(provenance)
    assert [each["uri"] for each in predicate["materials"]] == [
        "pkg:docker/busybox@latest?platform=linux%2Famd64"
    ]
    assert len(predicate["buildConfig"]["llbDefinition"]) == 3


@pytest.mark.parametrize("client", ["argosy", "buildx"])
def test_a_tree_has_files_that_tell_it(
    module_engine: LocalEngine, tmp_path: Path, buildx: list[str], client: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY x /d/x\n")
    (tmp_path / "x").write_text("text")
    words = ["--provenance=true", "--sbom=true", "-o", str(tmp_path / "out"), str(tmp_path)]
    run(module_engine, *(buildx if client == "buildx" else ARGOSY), *words)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"d", "provenance.json", "sbom.spdx.json"}
    provenance = json.loads((tmp_path / "out/provenance.json").read_text())
    digest = hashlib.sha256(b"text").hexdigest()
    assert provenance["subject"] == [{"name": "d/x", "digest": {"sha256": digest}}]


def test_a_registry_has_them_beside_the_image(
    module_engine: LocalEngine, tmp_path: Path, buildx: list[str]
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    with registry_server(tmp_path) as address:
        name = f"{address}/attested:1"
        module_engine.ok("build", "--provenance=true", "--sbom=true", "--push", "-t", name, str(tmp_path))
        inspect = ("docker", "buildx", "imagetools", "inspect", name)
        assert "attestation-manifest" in run(module_engine, *inspect)
        provenance = json.loads(run(module_engine, *inspect, "--format", "{{json .Provenance}}"))
        assert provenance["SLSA"]["buildType"] == "https://mobyproject.org/buildkit@v1"
        sbom = json.loads(run(module_engine, *inspect, "--format", "{{json .SBOM}}"))
        assert sbom["SPDX"]["spdxVersion"] == "SPDX-2.3"
        run(module_engine, *buildx, "--provenance=mode=max", "--push", "-t", f"{address}/x", str(tmp_path))
        assert "attestation-manifest" in run(module_engine, *inspect[:-1], f"{address}/x")
        module_engine.ok("rmi", name)
        module_engine.ok("pull", name)
        assert module_engine.ok("run", "--rm", name, "echo", "ok") == "ok"
        # Nobody asked for any: as Docker's own engine pushes it.
        run(module_engine, *buildx, "--push", "-t", f"{address}/plain", str(tmp_path))
        assert "attestation" not in run(module_engine, *inspect[:-1], f"{address}/plain")
        module_engine.ok("rmi", name, f"{address}/plain", f"{address}/x")


def test_the_same_input_attests_the_same(module_engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN date > /date; echo constant > /date\n")
    words = ["--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache"]
    words += ["--provenance=mode=max", "--sbom=true", "-t", "same:1", str(tmp_path)]
    digests = []
    for name in ("a.tar", "b.tar"):
        module_engine.ok("build", "-o", f"type=oci,dest={tmp_path}/{name}", *words)
        digests.append(Layout(tmp_path / name).entry["digest"])
    assert digests[0] == digests[1]


def test_an_image_that_stays_here_carries_none_and_that_is_said(
    module_engine: LocalEngine, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    answer = module_engine.argosy("build", "--sbom=true", "--progress=plain", str(tmp_path))
    assert answer.code == 0
    assert "carry no attestations" in answer.stderr
