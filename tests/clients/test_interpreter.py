"""The program that containers begin as is not the host's, and nobody can change it."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine_fixture import LocalEngine

# Keeps its own program open, becomes a shell, and writes to the program once nothing of the engine's runs it.
# Where it is the host's, that is told and nothing written.
_ATTACK = """
import os, sys
program = os.open("/proc/self/exe", os.O_PATH)
os.set_inheritable(program, True)
script = '''
touch /shared/ready
while [ ! -e /shared/go ]; do usleep 50000; done
if [ "$(stat -L -c %d:%i /proc/self/fd/{0})" = {1} ]; then echo "of the host"
elif echo x 2>/dev/null >>/proc/self/fd/{0}; then echo written
else echo refused; fi >/shared/result.new
mv /shared/result.new /shared/result
sleep 1000
'''
os.execv("/bin/sh", ["sh", "-c", script.format(program, sys.argv[1])])
"""


def processes_of(engine: LocalEngine) -> list[int]:
    """The shim's and its fork server's."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if b"-c" in words and os.fsencode(engine.run) in words:
            found.append(int(entry))
    return found


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def by_run(engine: LocalEngine, mounts: list[str], attack: list[str]) -> None:
    engine.ok("run", "-d", *mounts, "busybox", *attack)


def by_exec(engine: LocalEngine, mounts: list[str], attack: list[str]) -> None:
    container = engine.ok("run", "-d", *mounts, "busybox", "sleep", "1000")
    engine.ok("exec", "-d", container, *attack)


@pytest.mark.parametrize("way", [by_run, by_exec])
def test_a_container_cannot_write_to_it_even_when_nothing_of_ours_runs(
    own_engine: LocalEngine, tmp_path: Path, way: Callable[[LocalEngine, list[str], list[str]], None]
) -> None:
    host = os.stat(os.path.realpath(sys.executable))
    home = sys.base_prefix
    # The interpreter's own libraries, without which it does not start in there.
    mounts = ["-v", f"{tmp_path}:/shared", "-e", f"PYTHONHOME={home}", "-e", f"LD_LIBRARY_PATH={home}/lib"]
    for folder in {home, "/lib", "/lib64", "/usr/lib"}:
        if os.path.isdir(folder):
            mounts += ["-v", f"{folder}:{folder}:ro"]
    way(own_engine, mounts, ["/proc/self/exe", "-c", _ATTACK, f"{host.st_dev}:{host.st_ino}"])
    wait_for(tmp_path / "ready")
    own_engine.kill()
    ours = processes_of(own_engine)
    assert len(ours) == 2
    for pid in ours:
        os.kill(pid, 9)
    (tmp_path / "go").touch()
    wait_for(tmp_path / "result")
    assert (tmp_path / "result").read_text() == "refused\n"
