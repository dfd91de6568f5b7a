"""Pushes and pulls of the same image by a dockerd and by an engine of ours, to the same registry's storage.

The dockerd may be in a network namespace of its own: a registry is started there, and one here.
"""

import io
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine_fixture import LocalEngine
from registry_fixture import registry_server

from .conftest import Oracle
from .engines import network_of
from .test_layers import archive

NAME = "argosy-registry-oracle:1"


@dataclass
class Both:
    """Each with its address of the registry."""

    oracle: Oracle
    engine: LocalEngine
    theirs: str
    ours: str

    def same(self, *words: str) -> list[str]:
        """Both print the same, but for the order of what happens side by side. `@` is the registry."""
        found = []
        for host, address in ((self.oracle.host, self.theirs), (self.engine.host, self.ours)):
            run = self.oracle.docker if host == self.oracle.host else self.oracle.ours
            answer = run(*[word.replace("@", address) for word in words], host=host)
            text = (answer.stdout + answer.stderr).replace(address, "@")
            found.append((answer.code, re.sub(r"digest: sha256:\S+ size: \d+", "digest", text).splitlines()))
        (their_code, theirs), (our_code, ours) = found
        assert (our_code, in_order(ours)) == (their_code, in_order(theirs))
        return ours


def in_order(lines: list[str]) -> list[tuple[str, list[str]]]:
    """The lines that name a layer by the layer, and the others as they come."""
    layers: dict[str, list[str]] = {}
    others = []
    for line in lines:
        identifier, colon, status = line.partition(": ")
        if colon and re.fullmatch("[0-9a-f]{12}", identifier):
            # A slow machine sees more of the steps between.
            if status not in ("Waiting", "Verifying Checksum"):
                layers.setdefault(identifier, []).append(status)
        else:
            others.append(line)
    return [("", others), *sorted(layers.items())]


@pytest.fixture
def both(oracle: Oracle, engine: LocalEngine, tmp_path: Path) -> Iterator[Both]:
    inside = ["nsenter", f"--net={network_of(oracle.host)}"]
    their_place, our_place = tmp_path / "theirs", tmp_path / "ours"
    for place in (their_place, our_place):
        place.mkdir()
    (our_place / "registry").symlink_to(their_place / "registry")
    (their_place / "registry").mkdir()
    tars = [_layer(number) for number in range(3)]
    image = tmp_path / "image.tar"
    image.write_bytes(archive(tars, NAME))
    with registry_server(their_place, inside=inside) as theirs, registry_server(our_place) as ours:
        found = Both(oracle, engine, theirs, ours)
        oracle.docker("load", "-i", str(image))
        engine.ok("load", "-i", str(image))
        oracle.docker("tag", NAME, f"{theirs}/app:1")
        engine.ok("tag", NAME, f"{ours}/app:1")
        yield found
        oracle.docker("rmi", "-f", _image(oracle, oracle.host, NAME))
        engine.ok("rmi", "-f", _image(oracle, engine.host, NAME))


def _layer(number: int) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        member = tarfile.TarInfo(f"file{number}")
        member.size = 100_000
        tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    return output.getvalue()


def _image(oracle: Oracle, host: str, name: str) -> str:
    return oracle.docker("image", "inspect", "--format", "{{.Id}}", name, host=host).stdout.strip()


def _forget(both: Both, repository: str) -> None:
    for host, address in ((both.oracle.host, both.theirs), (both.engine.host, both.ours)):
        image = _image(both.oracle, host, f"{address}/{repository}:1")
        assert both.oracle.docker("rmi", "-f", image, host=host).code == 0


def test_what_is_said_of_pushes_and_pulls_is_the_same(both: Both) -> None:
    # The second finds in the storage what the first brought, but knows nothing of it.
    first = both.same("push", "@/app:1")
    assert first[0] == "The push refers to repository [@/app]"
    assert first[-1] == "1: digest"
    both.same("push", "@/app:1")
    both.same("push", "-q", "@/app:1")
    both.same("push", "@/app:2")
    both.same("push", "@/absent")
    both.same("push", "-a", "@/absent")
    both.same("push", "--platform", "linux/s390x", "@/app:1")
    for command in (both.oracle.docker, both.oracle.ours):
        host = both.oracle.host if command == both.oracle.docker else both.engine.host
        address = both.theirs if command == both.oracle.docker else both.ours
        command("tag", NAME, f"{address}/other:1", host=host)
        command("tag", NAME, f"{address}/app:2", host=host)
    mounted = both.same("push", "@/other:1")
    assert sum("Mounted from app" in line for line in mounted) == 3
    both.same("push", "-a", "@/app")
    _forget(both, "app")
    both.same("pull", "@/app:1")
    both.same("pull", "@/app:1")
    both.same("pull", "-a", "@/app")
    both.same("pull", "-q", "@/other:1")
    both.same("pull", "@/app:3")
    both.same("pull", f"@/app@sha256:{'1' * 64}")
    both.same("pull", "--platform", "linux/s390x", "@/app:1")
    for host, address in ((both.oracle.host, both.theirs), (both.engine.host, both.ours)):
        both.oracle.docker("tag", f"{address}/app:1", NAME, host=host)


def test_an_image_keeps_its_digest_whoever_passes_it_on(both: Both) -> None:
    def digest(host: str, name: str) -> str:
        words = ("image", "inspect", "--format", "{{index .RepoDigests 0}}", name)
        return both.oracle.docker(*words, host=host).stdout.strip().partition("@")[2]

    docker, ours = both.oracle.docker, both.oracle.ours
    assert docker("push", f"{both.theirs}/app:1", host=both.oracle.host).code == 0
    expected = digest(both.oracle.host, f"{both.theirs}/app:1")
    both.engine.ok("rmi", "-f", _image(both.oracle, both.engine.host, NAME))
    both.engine.ok("pull", f"{both.ours}/app:1")
    both.engine.ok("tag", f"{both.ours}/app:1", NAME)
    both.engine.ok("tag", NAME, f"{both.ours}/again:1")
    pushed = ours("push", f"{both.ours}/again:1", host=both.engine.host).stdout
    assert f"digest: {expected} " in pushed
    assert docker("pull", f"{both.theirs}/again:1", host=both.oracle.host).code == 0
    assert digest(both.oracle.host, f"{both.theirs}/again:1") == expected
