"""An engine of its own for tests: real processes, a real kernel, a state of its own, nothing left behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import base_images

from argosy.linux import cgroup, netlink, nft
from argosy.network.firewall import Firewall
from argosy.runtime import protocol

_PATIENCE = 20.0
_BUSYBOX = "busybox"


class Answer:
    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"Answer({self.code}, {self.stdout!r}, {self.stderr!r})"


class LocalEngine:
    """`name` is what its bridge, cgroups and firewall table are called; at most twelve characters."""

    def __init__(self, directory: Path, name: str, subnet: str, cache: Path) -> None:
        self.directory = directory
        self.name = name
        self.run = directory / "run"
        self.root = directory / "root"
        self.host = f"unix://{self.run}/argosy.sock"
        self._subnet = subnet
        self.cache = cache
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        config = self.directory / "docker-config"
        return {**kept, "DOCKER_HOST": self.host, "ARGOSY_HOST": self.host, "DOCKER_CONFIG": str(config)}

    def start(self, *more: str) -> float:
        """Returns the seconds until it answered."""
        began = time.monotonic()
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "argosy.daemon",
                    f"--root={self.root}",
                    f"--run={self.run}",
                    f"--name={self.name}",
                    f"--bip={self._subnet}",
                    *more,
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        while not self.answers():
            assert self._process.poll() is None, f"argosyd ended: {self.log}"
            assert time.monotonic() - began < _PATIENCE, f"argosyd does not answer: {self.log}"
            time.sleep(0.005)
        return time.monotonic() - began

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(f"{self.run}/argosy.sock")
            except (FileNotFoundError, ConnectionRefusedError):
                return False
        return True

    def kill(self) -> None:
        """As a crash would: no handler runs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_PATIENCE)

    def argosy(self, *words: str, stdin: bytes = b"", timeout: float = 60) -> Answer:
        return self._client([sys.executable, "-m", "argosy.cli.main", *words], stdin, timeout)

    def argosy_bytes(self, *words: str) -> bytes:
        """The stdout of a command of ours that must succeed."""
        return subprocess.run(
            [sys.executable, "-m", "argosy.cli.main", *words],
            env=self.environment,
            capture_output=True,
            check=True,
        ).stdout

    def docker(self, *words: str, stdin: bytes = b"", timeout: float = 60) -> Answer:
        docker = os.environ.get("ARGOSY_ORACLE_CLI") or shutil.which("docker")
        assert docker, "these tests need the docker CLI: install docker.io, or set ARGOSY_ORACLE_CLI"
        return self._client([docker, *words], stdin, timeout)

    def _client(self, command: Sequence[str], stdin: bytes, timeout: float) -> Answer:
        done = subprocess.run(
            command, env=self.environment, input=stdin, capture_output=True, timeout=timeout, check=False
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str, stdin: bytes = b"") -> str:
        """Run a command of ours that must succeed; its stdout without the last line break."""
        answer = self.argosy(*words, stdin=stdin)
        assert answer.code == 0, f"argosy {' '.join(words)}: {answer.stderr}"
        return answer.stdout.removesuffix("\n")

    def import_base(self, name: str = _BUSYBOX) -> None:
        archive = base_images.archive_of(name, self.cache)
        self.ok(*base_images.import_arguments(name, archive))

    def remove_all(self) -> None:
        identifiers = self.ok("ps", "-aq").split()
        if identifiers:
            self.ok("rm", "-f", "-v", *identifiers)
        volumes = self.ok("volume", "ls", "-q").split()
        if volumes:
            self.ok("volume", "rm", *volumes)

    def shut_down(self) -> None:
        """The engine and its shim, and what the engine leaves on the host by design: bridge and firewall."""
        if self._process is not None and self._process.poll() is None:
            self.remove_all()
            self.stop()
        self._stop_shim()
        with netlink.Socket() as route:
            netlink.delete_link(route, f"{self.name}0")
        firewall = Firewall(self.name)
        firewall.uninstall()
        firewall.close()
        for group in cgroup.children(f"/{self.name}"):
            cgroup.group(f"/{self.name}/{group}").remove()
        cgroup.group(f"/{self.name}").remove()

    def _stop_shim(self) -> None:
        """It ends with its engine, unless it had processes then or the engine was killed."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            try:
                connection.connect(f"{self.run}/shim.sock")
                protocol.send(connection, {"op": "shutdown", "seq": 1})
                answer, _ = protocol.receive(connection)
            except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
                return
            assert answer in (None, {"seq": 1}), f"the shim still has processes: {answer}"

    # What must not be left over.

    def leftovers(self) -> dict[str, list[str]]:
        """Everything of this engine's on the host that belongs to a container, by kind."""
        with netlink.Socket() as route:
            links = netlink.links(route)
        bridge = next((link.number for link in links if link.name == f"{self.name}0"), -1)
        with netlink.Socket(nft.NETLINK_NETFILTER) as netfilter:
            elements = [
                f"{table} {key.hex()}"
                for table in ("published", "published_at")
                for key in nft.elements(netfilter, self.name, table)
            ]
        with open("/proc/self/mounts") as table_file:
            mounts = [line for line in table_file if str(self.directory) in line]
        return {
            "interfaces": [link.name for link in links if link.master == bridge],
            "elements": elements,
            "mounts": mounts,
            "cgroups": sorted(cgroup.children(f"/{self.name}")),
            "snapshots": os.listdir(self.root / "snapshots" / "active"),
            "containers": os.listdir(self.root / "containers"),
            "bundles": os.listdir(self.run / "containers"),
            "ingests": os.listdir(self.root / "ingest"),
        }

    def assert_clean(self) -> None:
        """The kernel takes interfaces down a moment after their namespace is gone."""
        deadline = time.monotonic() + 5
        while any(self.leftovers().values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert {kind: left for kind, left in self.leftovers().items() if left} == {}
