"""What a container has changed: `diff`, `export` and `commit`, beside Docker's."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_fixture import LocalEngine

from .engines import Side, described, docker_side, our_side

pytestmark = pytest.mark.oracle

CHANGE = """
rm -r /var /etc/group; echo x >>/etc/passwd; mkdir -p /n/o; ln -s q /n/l; chmod 700 /home; echo a >/n/f; ln /n/f /n/g
rm -r /tmp; mkdir /tmp; echo b >/tmp/new; mkfifo /n/p; chown 7:8 /n/o; mkdir /gone; rmdir /gone; touch /bin/busybox
mknod /n/null c 1 3; mknod /n/disk b 8 300; ln -s $(printf 't%.0s' $(seq 900)) /n/long; dd if=/etc/passwd of=/n/sparse seek=9999
p=/n; for i in 1 2 3 4 5 6; do p=$p/$(printf 'l%.0s' $(seq 250)); mkdir $p; done; touch $(printf '/n/\\377\\376'); chown 70000:3000000000 /n/l
chmod 4711 /n/f; echo c >/v/in-a-volume; rm /bin/ls; mkdir /bin/ls; touch /bin/ls/x
find /n /tmp /etc/passwd /bin/ls -exec touch -h -d '2020-01-01 00:00:00' {} +
"""
OPTIONS = [
    "-e", "OWN=1", "-l", "l=1", "-p", "99", "-v", "/v", "-w", "/ww", "-u", "root", "--stop-signal", "KILL",
    "--stop-timeout", "4", "--network", "none", "--entrypoint", "sh",
]  # fmt: skip
CHANGES = """
CMD ["x","y"]
CMD x y
ENTRYPOINT e f
ENTRYPOINT ["a"]
ENTRYPOINT []
ENV A=1 B="2 3"
ENV A=$PATH:/x
env X=1\\nENV Y=2
EXPOSE 80 90/udp
LABEL a=b c="d e"
ONBUILD RUN x
USER 3
VOLUME /q /r
WORKDIR /r\\nWORKDIR s
STOPSIGNAL 9
HEALTHCHECK --interval=3s CMD foo
HEALTHCHECK NONE
RUN x
FROM x
NOPE
EXPOSE abc
STOPSIGNAL FOO
"""
# What Docker keeps of the container that an image was made of.
OF_THE_CONTAINER = (
    "AttachStderr", "AttachStdin", "AttachStdout", "Domainname", "Hostname", "Image", "OpenStdin", "StdinOnce", "Tty"
)  # fmt: skip
# Made by the engines for themselves.
STUBS = {".dockerenv", "dev", "etc", "proc", "sys"}


@pytest.fixture(scope="module")
def sides(shared_engine: LocalEngine, empty_oracle: str, cache: Path) -> Iterator[tuple[Side, Side]]:
    """Each with a container `changed` that sleeps."""
    found = docker_side(empty_oracle, cache), our_side(shared_engine.host)
    for side in found:
        side.ok("run", "-d", "--name", "changed", *OPTIONS, "busybox", "-c", "sleep 1000")
        side.ok("exec", "-i", "changed", "sh", stdin=CHANGE.encode())
    yield found
    for side in found:
        side.ok("rm", "-f", "-v", "changed")


def test_the_same_is_listed(sides: tuple[Side, Side]) -> None:
    theirs, ours = (side.ok("diff", "changed").splitlines() for side in sides)
    assert sorted(ours) == sorted(theirs)
    assert len(ours) > 15
    # Docker has no order.
    assert [line[2:] for line in ours] == sorted(
        (line[2:] for line in ours), key=lambda path: path.split("/")
    )


def test_the_same_is_exported_running_and_stopped(sides: tuple[Side, Side]) -> None:
    theirs, ours = (entries(side("export", "changed").stdout) for side in sides)
    assert ours == theirs
    for side in sides:
        side.ok("stop", "-t", "0", "changed")
    assert entries(sides[1]("export", "changed").stdout) == ours
    for side in sides:
        side.ok("start", "changed")


def test_a_container_that_never_ran_exports_the_same(sides: tuple[Side, Side]) -> None:
    """To the last mount point."""
    found = []
    for side in sides:
        side.ok("create", "--name", "idle", "busybox")
        with tarfile.open(fileobj=io.BytesIO(side("export", "idle").stdout)) as members:
            found.append({member.name: described(member) for member in members})
        side.ok("rm", "idle")
    assert found[1] == found[0]
    assert ".dockerenv" in found[1]


def entries(archive: bytes) -> dict[str, tuple[Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        return {
            m.name: described(m)
            for m in members
            if m.name.partition("/")[0] not in STUBS or m.name == "etc/passwd"
        }


def test_a_layer_holds_the_same(sides: tuple[Side, Side]) -> None:
    theirs, ours = (saved(side, side.ok("commit", "changed"))[1] for side in sides)
    # What else a whiteout is, means nothing.
    assert {name for name in ours if ".wh." in name} == {name for name in theirs if ".wh." in name}
    kept = [{name: entry for name, entry in found.items() if ".wh." not in name} for found in (ours, theirs)]
    assert kept[0] == kept[1]


def saved(side: Side, image: str) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """Configuration and last layer of an image, which is removed."""
    done = side("save", image)
    side.ok("rmi", image)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:

        def read(name: str) -> bytes:
            member = archive.extractfile(name)
            assert member
            return member.read()

        manifest = json.loads(read("manifest.json"))[0]
        return json.loads(read(manifest["Config"])), entries(read(manifest["Layers"][-1]))


@pytest.mark.parametrize("change", CHANGES.strip().splitlines())
def test_an_instruction_changes_the_same(sides: tuple[Side, Side], change: str) -> None:
    words = ("commit", "-c", change.replace("\\n", "\n"), "-m", "why", "-a", "me", "changed")
    theirs, ours = (side(*words) for side in sides)
    assert (ours.returncode, ours.stderr.decode()) == (theirs.returncode, theirs.stderr.decode())
    if not theirs.returncode:
        expected, found = (
            saved(side, answer.stdout.decode().strip())[0]
            for side, answer in zip(sides, (theirs, ours), strict=True)
        )
        assert meaningful(found) == meaningful(expected)


def meaningful(document: dict[str, Any]) -> dict[str, Any]:
    config = {key: value for key, value in document["config"].items() if key not in OF_THE_CONTAINER}
    history = [{key: step[key] for key in step if key != "created"} for step in document["history"]]
    kept = ("architecture", "os", "author")
    return {
        "config": {key: value for key, value in config.items() if value not in (None, "", [], {})},
        "history": history,
        **{key: document.get(key) for key in kept},
    }


COMMITS = """
docker commit changed Q:1; docker commit changed 'a b'; docker commit changed x@sha256:abc; docker commit none
docker commit -m why -a me changed made:1 >/dev/null; docker inspect -f '{{.Author}} {{.Comment}}' made:1
docker commit -p=false changed made:1 >/dev/null; docker inspect -f '{{.State.Status}}' changed
docker images --format '{{.Repository}} {{.Tag}}' made
docker export none; docker diff none; docker export -o /nowhere/x changed; docker commit; docker commit a b c
docker export changed | docker import -c 'CMD ["true"]' -m again - made:2 >/dev/null
docker run --rm --network none made:2 sh -c 'exec 2>&1; cat /n/f; readlink /n/l; ls -d /var; stat -c %a /n/f'
docker history --format '{{.Comment}}|{{.CreatedBy}}' made:2
docker pause changed; docker commit changed made:3 >/dev/null; docker inspect -f '{{.State.Status}}' changed
docker unpause changed; docker rmi made:1 made:2 made:3 | grep Untagged
"""


def test_commits_and_exports_are_told_alike(sides: tuple[Side, Side], tmp_path: Path) -> None:
    theirs, ours = (side.script(COMMITS, tmp_path) for side in sides)
    assert ours == theirs


def random_tree(seed: random.Random) -> list[str]:
    """Commands that make one below the current directory."""
    made = []
    for _ in range(12):
        path, kind = random_path(seed), seed.choice(("file", "file", "directory", "link", "hard"))
        above = path.rpartition("/")[0] or "."
        make = {
            "file": f"echo {seed.random()} >{path}",
            "directory": f"mkdir {path}",
            "link": f"ln -s {random_path(seed)} {path}",
            "hard": f"ln {random_path(seed)} {path}",
        }
        made += [f"mkdir -p {above}", make[kind]]
    return made


def random_path(seed: random.Random) -> str:
    return "/".join(seed.choice("abc") for _ in range(seed.randint(1, 3)))


def random_change(seed: random.Random) -> str:
    path = random_path(seed)
    return seed.choice(
        (
            f"rm -rf {path}",
            f"rm -rf {path}; mkdir -p {path}",
            f"rm -rf {path}; mkdir -p {path}/b; echo new >{path}/a",
            f"mv {path} {random_path(seed)}",
            f"echo more >>{path}",
            f"chmod {seed.choice(('700', '4711', '0'))} {path}",
            f"chown -h 5:6 {path}",
            f"touch {path}",
            f"ln {path} {random_path(seed)}",
            f"ln -sf {random_path(seed)} {path}",
            f"rm -rf {path}; echo file >{path}",
            f"cp -a {path} {random_path(seed)}",
        )
    )


def test_random_changes_make_dockers_layer(sides: tuple[Side, Side]) -> None:
    seed = random.Random(7)
    # Trees that have nothing to do with one another, since a container costs more than they do.
    places = [f"/trees/{number}" for number in range(60)]
    old = "find /trees -exec touch -h -d '2020-01-01 00:00:00' {} +"
    base, changes = (
        "\n".join(
            f"mkdir -p {place}; cd {place}\n" + "\n".join(f"{{ {line}; }} 2>/dev/null" for line in lines)
            for place, lines in zip(places, made, strict=True)
        )
        + "\ntrue\n"
        for made in (
            [random_tree(seed) for _ in places],
            [[random_change(seed) for _ in range(seed.randint(1, 8))] for _ in places],
        )
    )
    found = []
    for side in sides:
        side.ok(
            "run",
            "-i",
            "--name",
            "grows",
            "--network",
            "none",
            "busybox",
            "sh",
            stdin=f"{base}{old}".encode(),
        )
        side.ok("commit", "grows", "trees:1")
        side.ok("rm", "grows")
        side.ok("run", "-i", "--name", "grows", "--network", "none", "trees:1", "sh", stdin=changes.encode())
        listed = sorted(side.ok("diff", "grows").splitlines())
        layer = saved(side, side.ok("commit", "grows"))[1]
        side.ok("rm", "grows")
        side.ok("rmi", "trees:1")
        found.append((listed, {name: _kept(name, entry) for name, entry in layer.items()}))
    (theirs, their_layer), (ours, our_layer) = found
    assert len(ours) > 100
    assert ours == theirs
    assert our_layer == their_layer


def _kept(name: str, entry: tuple[Any, ...]) -> tuple[Any, ...]:
    return () if ".wh." in name else entry
