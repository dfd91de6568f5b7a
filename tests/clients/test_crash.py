"""kill -9 of the engine at any instant: nothing acknowledged is lost, nothing is left behind."""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from argosy.linux import cgroup
from engine_fixture import LocalEngine

_KILLS = 50


def test_containers_outlive_the_engine(own_engine: LocalEngine) -> None:
    own_engine.ok("run", "-d", "--name", "long", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    own_engine.ok(
        "run",
        "-d",
        "--name",
        "talks",
        "busybox",
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; sleep 0.3; done; exit 7",
    )
    pid = own_engine.ok("inspect", "-f", "{{.State.Pid}}", "long")
    port = own_engine.ok("port", "long", "80")
    own_engine.kill()
    time.sleep(1.2)
    assert own_engine.start() < 2
    assert own_engine.ok("inspect", "-f", "{{.State.Pid}}", "long") == pid
    assert own_engine.ok("port", "long", "80") == port
    assert own_engine.ok("logs", "talks").split() == ["1", "2", "3"]
    assert own_engine.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "talks") == "exited 7"
    assert own_engine.ok("exec", "long", "echo", "still here") == "still here"
    own_engine.remove_all()
    own_engine.assert_clean()


def test_a_container_removed_on_exit_is_gone_although_the_engine_was_dead(own_engine: LocalEngine) -> None:
    own_engine.ok("run", "-d", "--rm", "--name", "brief", "busybox", "sleep", "0.3")
    own_engine.kill()
    time.sleep(0.6)
    own_engine.start()
    assert own_engine.ok("ps", "-aq") == ""
    own_engine.assert_clean()


class _Worker(threading.Thread):
    """Runs, stops and removes containers and keeps account of what was acknowledged."""

    def __init__(self, engine: LocalEngine, number: int) -> None:
        super().__init__()
        self.engine = engine
        self.number = number
        self.stopping = threading.Event()
        self.kept: dict[str, int] = {}
        self.removed: list[str] = []
        self.rounds = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            self.rounds += 1
            name = f"w{self.number}-{self.rounds}"
            code = self.rounds % 7
            script = f"echo line-{name}; sleep 0.05; exit {code}"
            if self.engine.argosy(
                "run", "-d", "--name", name, "-p", "127.0.0.1::80", "busybox", "sh", "-c", script
            ).code:
                continue
            self.kept[name] = code
            self.engine.argosy("wait", name)
            if self.rounds % 3 == 0:
                # A removal that was cut off may have happened or not; one that was acknowledged has.
                del self.kept[name]
                if self.engine.argosy("rm", "-f", name).code == 0:
                    self.removed.append(name)


def test_fifty_kills_lose_nothing_and_leave_nothing_behind(own_engine: LocalEngine) -> None:
    engine = own_engine
    engine.ok(
        "run",
        "-d",
        "--name",
        "witness",
        "busybox",
        "sh",
        "-c",
        "i=0; while true; do echo $i; i=$((i+1)); sleep 0.02; done",
    )
    pid = engine.ok("inspect", "-f", "{{.State.Pid}}", "witness")
    workers = [_Worker(engine, number) for number in range(2)]
    for worker in workers:
        worker.start()
    generator = random.Random(1)
    try:
        for _ in range(_KILLS):
            time.sleep(generator.uniform(0.02, 0.4))
            engine.kill()
            engine.start()
    finally:
        for worker in workers:
            worker.stopping.set()
        for worker in workers:
            worker.join()
    assert sum(worker.rounds for worker in workers) > _KILLS / 5
    assert engine.ok("inspect", "-f", "{{.State.Pid}}", "witness") == pid
    deadline = time.monotonic() + 20
    for worker in workers:
        for name, code in worker.kept.items():
            while engine.ok("inspect", "-f", "{{.State.Status}}", name) == "running":
                assert time.monotonic() < deadline, name
            state = engine.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name)
            assert state == f"exited {code}", name
            assert engine.ok("logs", name) == f"line-{name}"
        for name in worker.removed:
            assert engine.argosy("inspect", name).code == 1
    engine.ok("kill", "witness")
    lines = engine.ok("logs", "witness").split()
    assert lines == [str(number) for number in range(len(lines))]
    engine.remove_all()
    engine.kill()
    engine.start()
    engine.assert_clean()


def test_the_shim_killed_is_replaced_and_its_containers_are_accounted_for(own_engine: LocalEngine) -> None:
    own_engine.ok("run", "-d", "--name", "orphan", "busybox", "sleep", "1000")
    found = subprocess.run(
        ["pgrep", "-f", f"main\\(\\) {own_engine.run}"], capture_output=True, text=True, check=True
    )
    subprocess.run(["kill", "-9", found.stdout.split()[0]], check=True)
    deadline = time.monotonic() + 10
    while own_engine.ok("inspect", "-f", "{{.State.Status}}", "orphan") == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert own_engine.ok("run", "--rm", "busybox", "echo", "works") == "works"
    own_engine.remove_all()
    own_engine.assert_clean()


def test_ten_clients_start_and_stop_a_hundred_containers_at_once(own_engine: LocalEngine) -> None:
    script = (
        "import subprocess, sys\n"
        "for i in range(10):\n"
        "    subprocess.run([sys.executable, '-m', 'argosy.cli.main', 'run', '-d', '--name', f'{sys.argv[1]}-{i}',"
        " 'busybox', 'sleep', '1000'], check=True, stdout=subprocess.DEVNULL)\n"
    )
    clients = [
        subprocess.Popen([sys.executable, "-c", script, f"c{number}"], env=own_engine.environment)
        for number in range(10)
    ]
    assert [client.wait(120) for client in clients] == [0] * 10
    assert len(own_engine.ok("ps", "-q").split()) == 100
    names = [f"c{client}-{number}" for client in range(10) for number in range(10)]
    addresses = own_engine.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", *names).split()
    assert len(set(addresses)) == 100
    own_engine.ok("stop", "-t", "0", *names)
    assert own_engine.ok("ps", "-q") == ""
    own_engine.ok("rm", *names)
    own_engine.assert_clean()


def test_an_idle_shim_ends_with_the_engine_and_a_busy_one_stays(own_engine: LocalEngine) -> None:
    own_engine.ok("run", "-d", "--name", "busy", "busybox", "sleep", "1000")
    own_engine.stop()
    assert (own_engine.run / "shim.sock").exists()
    own_engine.start()
    own_engine.ok("rm", "-f", "busy")
    own_engine.stop()
    deadline = time.monotonic() + 5
    while (own_engine.run / "shim.sock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    own_engine.start()
    assert own_engine.ok("run", "--rm", "busybox", "echo", "again") == "again"


def _state(pid: str) -> str:
    """The letter that proc(5) has for a process, or nothing when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_when_engine_and_shim_are_killed_the_next_engine_ends_what_is_left(own_engine: LocalEngine) -> None:
    own_engine.ok("run", "-d", "--name", "left", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    pid = own_engine.ok("inspect", "-f", "{{.State.Pid}}", "left")
    found = subprocess.run(
        ["pgrep", "-f", f"main\\(\\) {own_engine.run}"], capture_output=True, text=True, check=True
    )
    own_engine.kill()
    subprocess.run(["kill", "-9", found.stdout.split()[0]], check=True)
    own_engine.start()
    assert own_engine.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "left") == "exited 255"
    # Whoever adopted it may not have reaped it yet, but it does not run any more.
    assert _state(pid) in ("", "Z", "X")
    own_engine.ok("start", "left")
    own_engine.remove_all()
    own_engine.assert_clean()


def test_a_build_that_was_cut_off_leaves_nothing_and_goes_on_where_it_was(
    own_engine: LocalEngine, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("to be forgotten")
    mounts = "--mount=type=secret,id=word --mount=type=bind,target=/context,rw"
    (tmp_path / "Dockerfile").write_text(
        f"FROM busybox\nRUN echo first > /first\nRUN {mounts} [ -e /context/go ] || sleep 4321\n"
    )
    words = ["build", "--progress", "plain", "--secret", f"id=word,src={tmp_path}/secret", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "argosy.cli.main", *words], env=own_engine.environment, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 20
    while not _steps_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    own_engine.kill()
    assert b"the engine" in process.communicate()[1]
    assert process.returncode == 1
    own_engine.start()
    assert not _steps_running()
    assert not list(Path("/dev/shm").glob("argosy-build-*/*"))
    assert not list(own_engine.root.glob("snapshots/active/*"))
    own_engine.assert_clean()
    (tmp_path / "go").touch()
    answer = own_engine.argosy(*words)
    assert answer.code == 0, answer.stderr
    assert "RUN echo first > /first\n#2 CACHED" in answer.stderr
    own_engine.assert_clean()


def _steps_running() -> bool:
    return subprocess.run(["pgrep", "-fx", "sleep 4321"], capture_output=True, check=False).returncode == 0


def test_nothing_stays_held_that_was_not_paused(own_engine: LocalEngine) -> None:
    """A commit holds a container's processes while it reads its files."""
    held = own_engine.ok("run", "-d", "busybox", "sleep", "1000")
    paused = own_engine.ok("run", "-d", "busybox", "sleep", "1000")
    own_engine.ok("pause", paused)
    cgroup.group(f"/{own_engine.name}/{held}").freeze(True)
    own_engine.kill()
    own_engine.start()
    assert own_engine.ok("exec", held, "echo", "goes on") == "goes on"
    assert own_engine.ok("inspect", "-f", "{{.State.Status}}", paused) == "paused"
    own_engine.ok("unpause", paused)
    assert own_engine.ok("exec", paused, "echo", "goes on") == "goes on"
