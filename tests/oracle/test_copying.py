"""`cp` and the archive endpoints: what is copied where, beside Docker's."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import shlex
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from engine_fixture import LocalEngine

from .engines import Side, described, docker_side, our_side

pytestmark = pytest.mark.oracle

_THEN = 1_500_000_000
FILES = """
mkdir -p /w/sub /tmp; echo a >/w/f; ln -s f /w/l; ln -s /w/sub /w/dl; ln -s /nowhere /w/dang; ln -s sub /w/rel
ln -s nope/deeper /w/dang2; echo x >/w/sub/x; ln /w/f /w/hard; mkfifo /w/fifo; chmod 4755 /w/sub/x
ln -s loop /w/loop; ln -s /w/l /w/ll; ln -s ../../../etc/passwd /w/up; chown 5:6 /w/sub
find /w -exec touch -h -d '2020-01-01 00:00:00' {} +
"""
# Before each copy into the container.
RESET = """
rm -rf /t /tmp/evil /v/n; mkdir -p /t/dir/sub; echo x >/t/dir/f; echo y >/t/file; ln -s dir /t/dirl
ln -s /t/dir /t/dirla; ln -s file /t/filel; ln -s nope /t/dang; ln -s nope/x /t/dang2
ln -s ../../../../tmp/evil /t/evil; find /t -exec touch -h -d '2020-01-01 00:00:00' {} +
"""
LIST = """
cd /; find t tmp/evil v bind 2>/dev/null | sort | while read f; do
stat -c '%n %f %u %g %h %N' "$f"; test -f "$f" && ! test -L "$f" && md5sum <"$f"; done
"""
# The local directory of each copy is made by `local`. C is the container.
INTO = """
src C:/t
src/. C:/t
src/. C:/t/new
src C:/t/new/
src C:/t/no/new
src C:/t/file
src C:/t/file/
file C:/t
file C:/t/new
file C:/t/new/
file C:/t/file
file C:/t/filel
file C:/t/dirl
file C:/t/dirla
file C:/t/dang
file C:/t/dang2
file C:/t/evil
file C:/t/dir/sub
file C:/t/file/x
src/sub C:/t/dirl
src/sub C:/t/filel
file/ C:/t
fl C:/t
-L fl C:/t
-L srcl C:/t
srcl C:/t
srcl/ C:/t
-L dang C:/t
nope/x C:/t
-a src C:/t/new
file C:t
file C:
src C:/v/n
src C:/bind
file C:/dev/null
file C:/etc/hosts
file none:/x
plain.tar< - C:/t/dir
plain.tar< - C:/t/new
plain.tar< - C:/t/dirl
plain.tar.gz< -a - C:/t
over.tar< - C:/t/dir
junk< - C:/t
"""
OUT_OF = """
C:/w out
C:/w/ new
C:/w/. out
C:/w/. new
C:/w/sub new/
C:/w/sub no/new
C:/w/sub file
C:/w/f out
C:/w/f out2
C:/w/f new/
C:/w/f file
C:/w/f file/
C:/w/f outl
C:/w/f filel
C:/w/f dang2
C:/w/f /dev/null
C:/w/f/ out
C:/w/l out
-L C:/w/l out
C:/w/dl/ out
-L C:/w/dl out
-L C:/w/rel new
-L C:/w/ll out
-L C:/w/dang out
-L C:/w/up out
C:/nope/x out
C:/w/f/x out
C:/w -
-L C:/w/l -
C:/v -
C:/bind out
none:/x out
C:/a C:/b
a b
"""
PATHS = """
/w /w/ /w/. w w/f /w/f/ /w/f/. /w/l /w/l/ /w/dl /w/dl/ /w/dl/. /w/dl/x /w/dang /w/dang/ /w/rel/x /w/loop/ /w/loop/x
/w/fifo /w/hard /w/up /w/ll /w/dang2 /nope /nope/x /w/nope /w/f/x /v /v/x /bind/ /etc/hosts /w//f /w/sub/../f
""".split()


@pytest.fixture(scope="module")
def sides(
    shared_engine: LocalEngine, empty_oracle: str, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    """Each with a container `runs`, a container `stopped`, and the same files in both."""
    found = docker_side(empty_oracle, cache), our_side(shared_engine.host)
    for side in found:
        shared = tmp_path_factory.mktemp("bind")
        options = ["--network", "none", "-v", "/v", "-v", f"{shared}:/bind"]
        side.ok("run", "-d", "--name", "runs", *options, "busybox", "sleep", "1000")
        side.ok("exec", "-i", "runs", "sh", stdin=(FILES + "mkdir /bind/d; echo v >/v/x").encode())
        side.ok("run", "--name", "stopped", "--network", "none", "busybox", "sh", "-c", FILES)
    yield found
    for side in found:
        side.ok("rm", "-f", "-v", "runs", "stopped")


def local(directory: Path) -> None:
    source = directory / "src"
    (source / "sub").mkdir(parents=True)
    (source / "f").write_text("one")
    (source / "sub/g").write_text("two")
    (source / "sub/g").chmod(0o4750)
    os.chown(source / "sub/g", 1000, 1001)
    (source / "sub").chmod(0o700)
    (source / "hard").hardlink_to(source / "f")
    os.mkfifo(source / "fifo")
    (directory / "file").write_text("file")
    (directory / "junk").write_text("this is no tar" * 100)
    (directory / "out/sub").mkdir(parents=True)
    (directory / "out/f").write_text("old")
    (directory / "out2/f").mkdir(parents=True)
    links = {
        "src/l": "f", "src/dl": "sub", "src/dang": "/nowhere", "srcl": "src", "fl": "src/f", "dang": "nope",
        "dang2": "dirnope/x", "outl": "out", "filel": "file",
    }  # fmt: skip
    for name, target in links.items():
        (directory / name).symlink_to(target)
    for name, entries in (("plain.tar", ("d/", "d/x")), ("over.tar", ("d/", "f/"))):
        with tarfile.open(directory / name, "w") as archive:
            for entry in entries:
                made = tarfile.TarInfo(entry)
                made.type = tarfile.DIRTYPE if entry.endswith("/") else tarfile.REGTYPE
                made.uid, made.gid, made.mode, made.mtime = 5, 6, 0o755, _THEN
                archive.addfile(made)
    compressed = gzip.compress((directory / "plain.tar").read_bytes(), mtime=0)
    (directory / "plain.tar.gz").write_bytes(compressed)
    for path in directory.rglob("*"):
        os.utime(path, (_THEN, _THEN), follow_symlinks=False)


def tree(directory: Path) -> list[tuple[Any, ...]]:
    found = []
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        kind: tuple[Any, ...] = (oct(status.st_mode), status.st_uid, status.st_gid)
        if path.is_symlink():
            kind += (os.readlink(path), int(status.st_mtime))
        elif stat.S_ISREG(status.st_mode):
            kind += (path.read_bytes(), status.st_nlink, path.name == "passwd" or int(status.st_mtime))
        found.append((path.relative_to(directory), *kind))
    return found


def listed(archive: bytes) -> list[tuple[Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        return sorted((m.name, *described(m)) for m in members)


def copied(side: Side, line: str, directory: Path, container: str) -> dict[str, Any]:
    local(directory)
    words = [word.replace("C:", f"{container}:") for word in shlex.split(line)]
    stdin = (directory / words.pop(0)[:-1]).read_bytes() if words[0].endswith("<") else b""
    done = side("cp", *words, stdin=stdin, directory=directory)
    errors = done.stderr.decode().replace("argosy", "docker").replace(os.fspath(directory), "DIRECTORY")
    return {
        "code": done.returncode,
        # Docker's client sometimes tells what its archiver thinks of it, too.
        "errors": [text for text in errors.splitlines() if not text.startswith("time=")],
        "printed": listed(done.stdout) if done.stdout else [],
        "here": tree(directory),
    }


@pytest.mark.parametrize("line", INTO.strip().splitlines())
def test_copies_into_a_container(sides: tuple[Side, Side], line: str, tmp_path: Path) -> None:
    found = []
    for number, side in enumerate(sides):
        side.ok("exec", "runs", "sh", "-c", RESET)
        result = copied(side, line, tmp_path / str(number), "runs")
        found.append({**result, "there": side.ok("exec", "runs", "sh", "-c", LIST).splitlines()})
    if line == "file C:/etc/hosts":
        # Busy in both, in other words.
        assert all("device or resource busy" in each.pop("errors")[0] for each in found)
    assert found[1] == found[0]


@pytest.mark.parametrize("line", OUT_OF.strip().splitlines())
def test_copies_out_of_a_container(sides: tuple[Side, Side], line: str, tmp_path: Path) -> None:
    theirs, ours = (copied(side, line, tmp_path / str(number), "runs") for number, side in enumerate(sides))
    assert ours == theirs


@pytest.mark.parametrize("line", ["C:/w out", "-L C:/w/rel new", "C:/w/. -", "C:/nope out"])
def test_copies_out_of_a_stopped_container(sides: tuple[Side, Side], line: str, tmp_path: Path) -> None:
    theirs, ours = (
        copied(side, line, tmp_path / str(number), "stopped") for number, side in enumerate(sides)
    )
    assert ours == theirs


@pytest.mark.parametrize("container", ["runs", "stopped"])
def test_an_archive_is_dockers_whatever_the_path(sides: tuple[Side, Side], container: str) -> None:
    for path in PATHS:
        if container == "stopped" and path.startswith(("/v", "/bind")):
            continue
        theirs, ours = (_archive(side, container, path) for side in sides)
        assert ours == theirs, path


def _archive(side: Side, container: str, path: str) -> tuple[Any, ...]:
    target = f"/containers/{container}/archive?path={quote(path, safe='')}"
    head, headers, _ = side.request("HEAD", target)
    described = headers.get("X-Docker-Container-Path-Stat", "")
    told = json.loads(base64.b64decode(described)) if described else {}
    if not path.startswith("/w"):
        told.pop("mtime", None)
    if told.get("mode", 0) & 1 << 31:
        # How large a directory is, only its file system knows.
        told["size"] = 0
    code, headers, body = side.request("GET", target)
    return head, told, code, headers["Content-Type"], listed(body) if code == 200 else body


WRITTEN = """
docker create --name new --network none -v /v busybox sh -c 'find /t /v /d | sort; cat /t'
docker cp file new:/t; docker cp src/sub new:/d; docker cp file new:/v; docker cp file new:/v/; docker start -a new
docker diff new | sort
docker run -d --name ro --network none --read-only -v /v --tmpfs /tf busybox sleep 1000 >/dev/null
docker cp file ro:/x; echo $?; docker cp file ro:/v; echo $?; docker exec ro ls /v
docker run -d --name rv --network none -v rv:/v:ro busybox sleep 1000 >/dev/null
docker cp file rv:/v/x; echo $?; docker cp file rv:/x; echo $?
docker run -d --name us --network none -u www busybox sleep 1000 >/dev/null
docker cp owned us:/p; docker cp -a owned us:/q; docker exec us ls -n /p /q | cut -c1-30
docker pause us; docker cp file us:/pp; docker cp us:/pp - | tar t; docker unpause us
docker create --name nobody --network none -u nosuch busybox true >/dev/null
docker cp -a file nobody:/y; echo $?; docker cp file nobody:/y; echo $?
docker rm -f -v new ro rv us nobody; docker volume rm rv
"""


def test_copies_where_a_container_may_not_write_or_does_not_run(
    sides: tuple[Side, Side], tmp_path: Path
) -> None:
    local(tmp_path)
    (tmp_path / "owned").write_text("")
    os.chown(tmp_path / "owned", 7, 8)
    theirs, ours = (side.script(WRITTEN, tmp_path) for side in sides)
    assert ours == theirs
