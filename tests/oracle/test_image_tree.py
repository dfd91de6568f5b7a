"""`images --tree` of both clients, of the same engine's answer, on terminals of several widths and on none."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Oracle, RecordingEngine

pytestmark = pytest.mark.oracle


def _manifest(architecture: str, *, kind: str = "image", **more: Any) -> dict[str, Any]:
    identifier = architecture.encode().hex().ljust(64, "0")[:64]
    image = {
        "Platform": {"os": "linux", "architecture": architecture, "variant": more.get("variant", "")},
        "Containers": more.get("containers", []),
        "Size": {"Unpacked": 700_000},
    }
    return {
        "ID": f"sha256:{identifier}",
        "Descriptor": {"mediaType": "x", "digest": f"sha256:{identifier}", "size": 5},
        "Available": more.get("available", True),
        "Kind": kind,
        "Size": {"Total": 1_000_000, "Content": 300_000},
        **({"ImageData": image} if kind == "image" else {"AttestationData": {"For": f"sha256:{'1' * 64}"}}),
    }


def _image(
    sign: str, tags: list[str], created: int, *manifests: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {
        "Id": f"sha256:{sign * 64}",
        "RepoTags": tags,
        "RepoDigests": [],
        "Created": created,
        "Size": 123_456_789,
        "Containers": 0,
        "SharedSize": -1,
        "ParentId": "",
        "Labels": None,
        "Manifests": [*manifests],
        **more,
    }


_ONE_PLATFORM = [
    _image("1", ["used:1", "b:2"], 1, Containers=2),
    _image("2", [], 5),
    _image("3", [], 4, RepoDigests=["repo@sha256:" + "3" * 64]),
    _image("4", ["a-name-that-is-quite-long-as-names-go/and/goes/on:latest", "short:1"], 9, Size=0),
]
_SEVERAL = [
    *_ONE_PLATFORM,
    _image(
        "5",
        ["many:1"],
        3,
        _manifest("amd64", containers=["c"]),
        _manifest("arm64", variant="v8", available=False),
        _manifest("signed", kind="attestation"),
        _manifest("s390x"),
    ),
    _image("6", ["elsewhere:1"], 3, _manifest("riscv64", available=False)),
]


class AnsweringEngine(RecordingEngine):
    images: list[dict[str, Any]] = []

    def respond(self, line: str) -> bytes:
        return json.dumps(self.images).encode() if "/images/json" in line else super().respond(line)


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[AnsweringEngine]:
    engine = AnsweringEngine(tmp_path / "engine.sock")
    yield engine
    engine.stop()


def _on_terminal(command: list[str], host: str, width: int) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {**os.environ, "DOCKER_HOST": host, "ARGOSY_HOST": host}
    shown = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize("images", [[], _ONE_PLATFORM, _SEVERAL], ids=["none", "one platform", "several"])
def test_a_tree_of_images_looks_the_same(
    oracle: Oracle, answering: AnsweringEngine, images: list[dict[str, Any]]
) -> None:
    answering.images = images
    words = ["images", "--tree"]
    for width in (130, 75, 50, 20):
        shown = _on_terminal([sys.executable, "-m", "argosy.cli.main", *words], answering.host, width)
        assert shown == _on_terminal([oracle.command, *words], answering.host, width)
    for more in ([], ["-a"], ["-q"], ["--no-trunc"], ["--digests"], ["--format", "json"], ["name"]):
        theirs = oracle.docker(*words, *more, host=answering.host)
        ours = oracle.ours(*words, *more, host=answering.host)
        assert (ours.code, ours.stdout, ours.stderr) == (theirs.code, theirs.stdout, theirs.stderr)
    asked = [line for line, _ in answering.requests if "/images/json" in line]
    assert all("manifests=1" in line for line in asked)
