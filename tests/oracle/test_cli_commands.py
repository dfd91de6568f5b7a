"""The same command lines through both clients, to the same dockerd."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Oracle

pytestmark = pytest.mark.oracle

READING = """
ps -a --filter name={c}
ps --filter name={c} --no-trunc -s
ps --filter name={c} --format json
ps --filter name={c} --format 'table {{{{.ID}}}}\\t{{{{.Names}}}}\\t{{{{.Label "of"}}}}'
ps -aq --no-trunc --filter name={c}
ps --format {{{{.Nope}}}} --filter name={c}
ps --filter bad
ps --filter name={c} --format 'table {{{{upper .Names}}}}x\\t{{{{json .Names}}}}\\t{{{{.Label "a.b-c"}}}}'
images {i}
images -q --no-trunc {i}
images --digests --format json {i}
image ls --filter dangling=true --filter reference=none
history {i}
history --no-trunc --human=false {i}
network ls
network ls --format json
network ls -q --no-trunc
volume ls --filter name=none
inspect {c}
inspect -f {{{{.State.Status}}}}\\ {{{{.Config.Cmd}}}}\\ {{{{.HostConfig.Binds}}}} {c}
inspect -f {{{{json\\ .Config.Labels}}}}{{{{range\\ .Mounts}}}}{{{{.Destination}}}}{{{{end}}}} {c}
inspect -f {{{{.HostConfig.Init}}}}{{{{.Config.Labels.none}}}} {c}
inspect -f {{{{.Nope}}}} {c}
inspect -f {{{{.Id {c}
inspect --format json {c}
inspect -s {c}
inspect no-such-thing
container inspect {c} no-such-thing
image inspect {i}
network inspect none
top {c}
top {c} -o pid,comm
port {c}
port {c} 80
diff {c}
logs {c}
logs no-such-thing
exec {c} sh -c 'exit 12'
exec {c} sh -c 'echo out; echo err >&2'
exec -e A=1 -w /tmp -u 5:6 {c} sh -c 'echo $A; pwd; id -u'
exec {c} no-such-program
exec {c} /tmp
exec no-such-thing true
run --rm --network none {i} sh -c 'echo hi; exit 9'
run --rm --network none {i} no-such-program
run --rm --network none {i} /tmp
run --rm --network none -e A=1 -e A=2 {i} sh -c 'echo $A'
run --rm --network none -a stderr {i} sh -c 'echo out; echo err >&2'
run --rm --network no-such-thing {i}
run --name {c} {i}
run --bad {i}
run
rm {c}
rm -f no-such-thing
rm no-such-thing
rmi no-such-thing
stop no-such-thing
wait no-such-thing
kill -s BAD {c}
rename no-such-thing x
tag no-such-thing x
volume inspect no-such-thing
volume rm no-such-thing
network rm no-such-thing
network create bridge
cp {c}:/etc/passwd -
cp {c}:/no-such-file -
cp a b
events --since 1s --until 0s --filter type=no-such-type
update {c}
ps x
logs a b
version --format {{{{.Server.Version}}}}
info --format {{{{.ID}}}}
"""


@pytest.mark.parametrize("line", READING.strip().splitlines())
def test_prints_the_same(line: str, oracle: Oracle, running: str, image: str) -> None:
    words = shlex.split(line.format(c=running, i=image))
    oracle.same(*words)


def test_pipes_input_and_output(oracle: Oracle, running: str, image: str) -> None:
    data = bytes(range(256)) * 4096
    assert oracle.same("exec", "-i", running, "md5sum", stdin=data).code == 0
    assert oracle.same("run", "--rm", "-i", "--network", "none", image, "md5sum", stdin=data).code == 0


def test_a_container_lives_through_its_verbs(oracle: Oracle, image: str) -> None:
    made = oracle.ours("run", "-d", "--network", "none", image, "sleep", "1000")
    name = made.stdout.strip()
    assert len(name) == 64
    steps = (
        ["pause", name],
        ["unpause", name],
        ["restart", "-t", "0", name],
        ["rename", name, f"{name[:12]}-renamed"],
        ["stop", "-t", "0", name],
        ["wait", name],
        ["start", name],
        ["kill", name],
        ["rm", "-v", name],
    )
    printed = [oracle.ours(*step) for step in steps]
    assert [answer.code for answer in printed] == [0] * len(steps), [answer.stderr for answer in printed]
    expected = [name, name, name, "", name, "137", name, name, name]
    assert [answer.stdout.strip() for answer in printed] == expected
    assert oracle.docker("inspect", name).code == 1


def test_start_attaches(oracle: Oracle, image: str) -> None:
    made = oracle.ours("create", "--network", "none", image, "sh", "-c", "echo again; exit 4")
    name = made.stdout.strip()
    started = oracle.same("start", "-a", name)
    assert (started.code, started.stdout) == (4, "again\n")
    assert oracle.same("logs", name).stdout == "again\nagain\n"
    assert oracle.ours("rm", name).code == 0


def test_images_are_saved_tagged_loaded_and_removed(oracle: Oracle, image: str, tmp_path: Path) -> None:
    archive = str(tmp_path / "image.tar")
    assert oracle.ours("tag", image, "argosy-oracle:2").code == 0
    assert oracle.ours("save", "-o", archive, "argosy-oracle:2").code == 0
    assert oracle.ours("rmi", "argosy-oracle:2").stdout == "Untagged: argosy-oracle:2\n"
    assert oracle.same("load", "-i", archive).stdout == "Loaded image: argosy-oracle:2\n"
    assert oracle.ours("rmi", "argosy-oracle:2").code == 0


def test_volumes_and_networks_come_and_go(oracle: Oracle) -> None:
    assert oracle.ours("volume", "create", "--label", "a=b", "argosy-oracle").stdout == "argosy-oracle\n"
    assert oracle.same("volume", "inspect", "argosy-oracle").code == 0
    assert oracle.same("volume", "ls", "--filter", "name=argosy-oracle").code == 0
    assert oracle.ours("volume", "rm", "argosy-oracle").stdout == "argosy-oracle\n"


def test_copies_as_docker_does(oracle: Oracle, running: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "file").write_text("content")
    (source / "link").symlink_to("file")
    found = []
    for name, client in (("theirs", oracle.docker), ("ours", oracle.ours)):
        assert client("exec", running, "mkdir", f"/{name}").code == 0
        assert client("cp", str(source), f"{running}:/{name}/new").code == 0
        assert client("cp", str(source), f"{running}:/{name}").code == 0
        assert client("cp", f"{source}/.", f"{running}:/{name}/new").code == 0
        back = tmp_path / name
        back.mkdir()
        assert client("cp", f"{running}:/{name}/new", str(back)).code == 0
        assert client("cp", f"{running}:/{name}/new/file", str(back / "renamed")).code == 0
        inside = client("exec", running, "sh", "-c", f"cd /{name}; find . | sort")
        outside = sorted(str(path.relative_to(back)) for path in back.rglob("*"))
        found.append((inside.stdout, outside))
    assert found[0] == found[1]
    assert (tmp_path / "ours" / "renamed").read_text() == "content"


def test_a_missing_name_is_followed_by_a_near_one(oracle: Oracle, running: str) -> None:
    answer = oracle.ours("stop", running[:-1])
    assert answer.code == 1
    assert answer.stderr.endswith(f"hint: did you mean {running}?\n")
