"""What other users of the host can see of the engine's: nothing."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from engine_fixture import LocalEngine

# Below these lie the files of images, containers and volumes, with their own modes.
_THEIRS = ("snapshots", "volumes", "stubs", "build-mounts")


def open_to_others(top: Path) -> Iterator[str]:
    """Of what is the engine's own."""
    for folder, directories, files in os.walk(top):
        if Path(folder) == top:
            directories[:] = [name for name in directories if name not in _THEIRS]
        for name in (*directories, *files):
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                yield f"{path} {stat.S_IMODE(mode):o}"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_reads_or_enters_anything(own_engine: LocalEngine) -> None:
    own_engine.ok("run", "-d", "--name", "kept", "-e", "SECRET=1", "-v", "v:/v", "busybox", "sleep", "1000")
    own_engine.ok("exec", "-e", "SECRET=2", "kept", "true")
    own_engine.ok("build", "-t", "built", "-", stdin=b"FROM busybox\nRUN true\n")
    assert mode(own_engine.root) == 0o700
    assert mode(own_engine.run) in (0o700, 0o710)
    assert sorted(open_to_others(own_engine.root)) == []
    # These are mounted into containers, whose users read them.
    seen = [path for path in open_to_others(own_engine.run) if "/containers/" not in path]
    assert [path for path in seen if "argosy.sock" not in path] == []
    assert mode(own_engine.run / "containers") == 0o700


def test_a_store_that_was_open_is_closed_at_the_start(own_engine: LocalEngine) -> None:
    own_engine.ok("run", "--name", "kept", "busybox", "true")
    own_engine.kill()
    for path, former in (
        (own_engine.root, 0o711),
        (own_engine.run, 0o711),
        (own_engine.run / "containers", 0o711),
    ):
        path.chmod(former)
    files = [own_engine.root / name for name in ("argosy.db", "argosy.db-wal", "argosy.db-shm", "shim.log")]
    for path in files:
        path.chmod(0o644)
    own_engine.start()
    assert mode(own_engine.root) == 0o700 and mode(own_engine.run) in (0o700, 0o710)
    assert mode(own_engine.run / "containers") == 0o700
    assert {path.name: mode(path) for path in files if path.exists() and mode(path) != 0o600} == {}


def test_what_a_container_sees_is_open_to_its_users_all_the_same(
    own_engine: LocalEngine, tmp_path: Path
) -> None:
    bound = tmp_path / "made/for/it"
    words = ["--user", "1000", "-v", "fresh:/fresh", "-v", f"{bound}:/bound", "--workdir", "/some/where"]
    script = "cat /etc/hosts /etc/hostname /etc/resolv.conf >/dev/null && ls / /fresh /bound /some/where"
    own_engine.ok("run", "--rm", *words, "busybox", "sh", "-c", script)
    assert mode(bound) == mode(bound.parent) == 0o755
    own_engine.ok("create", "--name", "idle", "busybox")
    own_engine.ok("cp", str(tmp_path / "made"), "idle:/etc")
    own_engine.ok("commit", "idle", "committed")
    listed = own_engine.ok("run", "--rm", "--user", "1000", "committed", "ls", "/etc/made/for")
    assert listed == "it"


def test_a_directory_that_everybody_may_write_to_is_refused(own_engine: LocalEngine, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "somebody's").touch()
    words = [
        sys.executable,
        "-m",
        "argosy.daemon",
        f"--root={shared}",
        f"--run={tmp_path}/run",
        "--name=agtshared",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{shared} is a directory that everybody may write to" in done.stderr
    assert mode(shared) == 0o1777
