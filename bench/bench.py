"""How fast Argosy is beside a peer: the same work on both, in turn, in one run; medians and their ratio.

The peer is a docker CLI with a running dockerd, its command line given by `--peer`. Argosy's engine is
one of our own, started for this run. Ratios mean something; the milliseconds are this machine's.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
from base_images import archive_of, import_arguments
from builds import Builds
from images import CACHE, Images, registry, timed

IMAGE = "busybox"
LOG_BYTES = 200 << 20
MANY = 50
REMOVED = 20
MEASURED_MEMORY = 100
_SETTLE = 1.0
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Side:
    """One of the two: its command line and its API socket."""

    def __init__(self, name: str, command: list[str], api: str, environment: dict[str, str]) -> None:
        self.name = name
        self.command = command
        self.api = api
        self.environment = {**os.environ, **environment}

    def run(self, *words: str, check: bool = True) -> None:
        subprocess.run([*self.command, *words], env=self.environment, check=check, **QUIET)  # type: ignore[call-overload]

    def output(self, *words: str) -> str:
        done = subprocess.run(
            [*self.command, *words], env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def remove_all(self, label: str = "bench") -> None:
        found = self.output("ps", "-aq", "--filter", f"label={label}").split()
        if found:
            self.run("rm", "-f", *found)


def _post(connection: socket.socket, path: str, body: bytes = b"") -> bytes:
    """The answer, head and all. No HTTP library: what it costs would be counted as the engines' time."""
    head = f"POST /v1.47{path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    start = answer.index(b"\r\n\r\n") + 4
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", answer[:start])
    while length and len(answer) < start + int(length[1]):
        answer += connection.recv(65536)
    return answer


def _api_run(side: Side, count: int) -> None:
    """`run -d` as a program does it: one connection, create and start."""
    body = json.dumps({"Image": IMAGE, "Cmd": ["sleep", "1000"], "Labels": {"bench": ""}}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(side.api)
        for _ in range(count):
            created = _post(connection, "/containers/create", body)
            identifier = json.loads(created.partition(b"\r\n\r\n")[2])["Id"]
            started = _post(connection, f"/containers/{identifier}/start")
            if not started.startswith(b"HTTP/1.1 204"):
                raise SystemExit(f"{side.name}: start answered {started.decode(errors='replace')}")


def eight_at_a_time(work: Callable[[int], object], count: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(count)))


def cli_many(side: Side) -> float:
    seconds = timed(
        lambda: eight_at_a_time(
            lambda _: side.run("run", "-d", "--label", "bench", IMAGE, "sleep", "1000"), MANY
        )
    )
    side.remove_all()
    return seconds


def api_many(side: Side) -> float:
    def share(number: int) -> None:
        _api_run(side, MANY // 8 + (number < MANY % 8))

    seconds = timed(lambda: eight_at_a_time(share, 8))
    side.remove_all()
    return seconds


def remove_many(side: Side) -> float:
    _api_run(side, REMOVED)
    found = side.output("ps", "-aq", "--filter", "label=bench").split()
    return timed(lambda: side.run("rm", "-f", *found))


def log_output(side: Side) -> float:
    script = f"yes {'x' * 126} | head -c {LOG_BYTES}"
    identifier = side.output("create", "--label", "bench", IMAGE, "sh", "-c", script).strip()

    def work() -> None:
        side.run("start", identifier)
        side.run("wait", identifier)

    seconds = timed(work)
    side.remove_all()
    return seconds


def memory_for_each(engine: "OwnEngine") -> float:
    """KiB of PSS that a running container costs the engine and the shim."""
    before = engine.pss()
    _api_run(engine.side, MEASURED_MEMORY)
    time.sleep(0.5)
    after = engine.pss()
    engine.side.remove_all()
    return (after - before) / MEASURED_MEMORY


class OwnEngine:
    def __init__(self, directory: Path) -> None:
        # Where it would be: on the tmpfs of /run.
        self.run = Path(tempfile.mkdtemp(prefix="argosy-bench-", dir="/run"))
        binaries = Path(sys.executable).parent
        self._process = subprocess.Popen(
            [
                str(binaries / "argosyd"),
                f"--root={directory / 'root'}",
                f"--run={self.run}",
                "--name=agbench",
                "--log-level=warning",
            ]
        )
        socket_path = str(self.run / "argosy.sock")
        while not os.path.exists(socket_path):
            if self._process.poll() is not None:
                raise SystemExit("argosyd does not start")
            time.sleep(0.01)
        environment = {"ARGOSY_HOST": f"unix://{socket_path}"}
        self.side = Side("argosy", [str(binaries / "argosy")], socket_path, environment)

    def pss(self) -> float:
        """KiB, of the engine and its shim."""
        pids = [self._process.pid]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"argosy.runtime.shim" in command and str(self.run).encode() in command:
                pids.append(int(pid))
        total = 0
        for number in pids:
            for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total

    def stop(self) -> None:
        from argosy.linux import cgroup, netlink
        from argosy.network.firewall import Firewall

        self.side.remove_all()
        self._process.terminate()
        self._process.wait()
        # Its shim, which is idle now, ends with it.
        while os.path.exists(self.run / "shim.sock"):
            time.sleep(0.01)
        with netlink.Socket() as route:
            netlink.delete_link(route, "agbench0")
        firewall = Firewall("agbench")
        firewall.uninstall()
        firewall.close()
        cgroup.group("/agbench").remove()
        shutil.rmtree(self.run)


def _peer(command: str) -> Side:
    """Words like DOCKER_HOST=… before the command are its environment."""
    words = shlex.split(command)
    environment = {}
    while words and "=" in words[0] and not words[0].startswith("-"):
        key, _, value = words.pop(0).partition("=")
        environment[key] = value
    host = environment.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    for flag in ("-H", "--host"):
        if flag in words:
            host = words[words.index(flag) + 1]
    return Side("peer", words, host.removeprefix("unix://"), environment)


def compare(
    name: str, limit: float, repeats: int, sides: tuple[Side, Side], work: Callable[[Side], float]
) -> None:
    results: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            # What the other side tears down behind its answers must not be counted here.
            time.sleep(_SETTLE)
            results[side.name].append(work(side))
    ours, theirs = (statistics.median(results[side.name]) for side in sides)
    ratio = ours / theirs
    verdict = "reached" if ratio <= limit else "MISSED"
    print(
        f"{name:44} {ours * 1000:9.1f} {theirs * 1000:9.1f} {ratio:8.3f} {limit:7.2f}  {verdict}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peer", default="docker", help="the docker CLI's command line, environment in front"
    )
    parser.add_argument("--only", default="", help="measure only what has this in its name")
    arguments = parser.parse_args()
    peer = _peer(arguments.peer)
    with tempfile.TemporaryDirectory(dir=os.environ.get("ARGOSY_BENCH_DIR", "/var/tmp")) as name:
        directory = Path(name)
        engine = OwnEngine(directory)
        try:
            _measure(engine, peer, directory, arguments.only)
        finally:
            peer.remove_all()
            engine.stop()


def _measure(engine: OwnEngine, peer: Side, directory: Path, only: str) -> None:
    sides = (engine.side, peer)
    archive = archive_of(IMAGE, CACHE)
    for side in sides:
        side.run(*import_arguments(IMAGE, archive))
        side.run("run", "--rm", IMAGE, "true")
        side.run("run", "-d", "--label", "bench", "--name", "bench-exec", IMAGE, "sleep", "10000")
    print(f"{'':44} {'argosy ms':>9} {'peer ms':>9} {'ratio':>8} {'at most':>7}")
    works: list[tuple[str, float, int, Callable[[Side], float]]] = [
        ("run --rm, bridge", 0.25, 15, lambda s: timed(lambda: s.run("run", "--rm", IMAGE, "true"))),
        (
            "run --rm, --network none",
            0.25,
            15,
            lambda s: timed(lambda: s.run("run", "--rm", "--network", "none", IMAGE, "true")),
        ),
        ("exec true", 0.5, 15, lambda s: timed(lambda: s.run("exec", "bench-exec", "true"))),
        ("ps", 2.0, 15, lambda s: timed(lambda: s.run("ps"))),
        (f"{MANY} × run -d by the CLI, 8 at a time", 0.25, 3, cli_many),
        (f"{MANY} × run -d through the API, 8 at a time", 0.1, 3, api_many),
        (f"rm -f of {REMOVED} running", 0.2, 3, remove_many),
        (f"{LOG_BYTES >> 20} MB of stdout into the log", 0.3, 1, log_output),
    ]
    for name, limit, repeats, work in works:
        if only in name:
            if name.startswith(("50", "rm")):
                for side in sides:
                    side.remove_all()
            compare(name, limit, repeats, sides, work)
    with registry(directory) as address:
        images = Images(directory, address, peer, engine.side)
        _measure_images(images, sides, only)
    _measure_builds(Builds(directory), sides, only)
    if only in "memory":
        kib = memory_for_each(engine)
        verdict = "reached" if kib <= 100 else "MISSED"
        print(
            f"{'memory for each running container, KiB PSS':44} {kib:9.1f} {'':9} {'':8} {100:7}  {verdict}"
        )


def _measure_builds(builds: Builds, sides: tuple[Side, Side], only: str) -> None:
    works: list[tuple[str, float, int, Callable[[Side], float]]] = [
        ("build of 8 steps with 2,000 files, cold", 0.5, 3, builds.cold),
        ("build of them, all cached", 0.25, 5, builds.cached),
        ("build of them, one file changed", 0.4, 3, builds.one_changed),
        ("build of 4 stages of sleep 2", 1.0, 1, builds.stages),
        ("build of 50,000 files, all cached", 0.15, 3, builds.many_files),
        ("build with a file of 1 GB", 0.5, 2, builds.large_file),
    ]
    measured = [each for each in works if only in each[0]]
    for name, limit, repeats, work in measured:
        compare(name, limit, repeats, sides, work)
    if measured:
        for side in sides:
            builds.clean(side)


def _measure_images(images: Images, sides: tuple[Side, Side], only: str) -> None:
    works: list[tuple[str, float, int, Callable[[Side], float]]] = [
        ("load of a 200 MB Debian image", 0.08, 3, images.load),
        ("save of it", 0.3, 3, images.save),
        ("rmi of it", 0.1, 3, images.rmi),
        ("push of it to a local registry", 0.8, 2, images.push),
        ("pull of it from a local registry", 0.15, 3, lambda s: images.pull(s, "debian")),
        ("pull of 1 GB in 60,000 files", 0.1, 1, lambda s: images.pull(s, "files")),
    ]
    for name, limit, repeats, work in works:
        if only in name:
            compare(name, limit, repeats, sides, work)
    name = "cold start of Node in a container"
    if only in name:
        for side in sides:
            images.prepare_cold_start(side)
        compare(name, 1.0, 5, sides, images.cold_start)
        for side in sides:
            side.run("rmi", "-f", "bench-node")


if __name__ == "__main__":
    main()
