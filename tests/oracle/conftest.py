"""A real dockerd and the docker CLI to compare with.

`ARGOSY_ORACLE_HOST` names a running daemon and `ARGOSY_ORACLE_CLI` the docker binary. Where the first is not
set, the `dockerd` on the PATH is started with a state of its own and stopped at the end.
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

IMAGE = "argosy-oracle:1"
_PATIENCE = 60
# What is printed may say how long ago something was, and a second may pass between the two.
_ATTEMPTS = 3
_OLDEST = (28, 5)


class Answer:
    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr


class Oracle:
    """Runs the same command line through Docker's client and through ours."""

    def __init__(self, host: str, docker: str) -> None:
        self.host = host
        self.command = docker

    def docker(self, *words: str, stdin: bytes = b"", host: str = "") -> Answer:
        return self._run([self.command, *words], stdin, host)

    def ours(self, *words: str, stdin: bytes = b"", host: str = "") -> Answer:
        return self._run([sys.executable, "-m", "argosy.cli.main", *words], stdin, host)

    def _run(self, command: list[str], stdin: bytes, host: str) -> Answer:
        chosen = host or self.host
        environment = {**os.environ, "DOCKER_HOST": chosen, "ARGOSY_HOST": chosen}
        done = subprocess.run(
            command, env=environment, input=stdin, capture_output=True, timeout=60, check=False
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def same(self, *words: str, stdin: bytes = b"") -> Answer:
        """Both print the same on stdout and exit with the same code; ours is returned."""
        for _ in range(_ATTEMPTS):
            theirs, ours = self.docker(*words, stdin=stdin), self.ours(*words, stdin=stdin)
            if (ours.code, ours.stdout) == (theirs.code, theirs.stdout):
                break
        assert (ours.code, ours.stdout) == (theirs.code, theirs.stdout), ours.stderr
        return ours


def _started_daemon(root: Path) -> tuple[subprocess.Popen[bytes], str]:
    binary = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if binary is None:
        pytest.fail("no dockerd to compare with: install it, or set ARGOSY_ORACLE_HOST")
    address = f"unix://{root}/docker.sock"
    with open(root / "log", "wb") as log:
        process = subprocess.Popen(
            [
                # Without a bridge of its own it would delete the one that a dockerd of the host has.
                "unshare",
                "--net",
                "--",
                binary,
                f"--host={address}",
                "--bridge=none",
                "--iptables=false",
                f"--data-root={root}/data",
                f"--exec-root={root}/exec",
                f"--pidfile={root}/pid",
            ],
            stdout=log,
            stderr=log,
        )
    return process, address


def _await(docker: str, address: str, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        probe = subprocess.run([docker, "-H", address, "version"], capture_output=True, check=False)
        if probe.returncode == 0:
            return
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.2)
    pytest.fail(f"the docker daemon at {address} does not answer")


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    docker = os.environ.get("ARGOSY_ORACLE_CLI") or shutil.which("docker")
    if docker is None:
        pytest.fail("no docker client to compare with: install it, or set ARGOSY_ORACLE_CLI")
    host, process = os.environ.get("ARGOSY_ORACLE_HOST", ""), None
    if not host:
        process, host = _started_daemon(tmp_path_factory.mktemp("dockerd"))
    try:
        _await(docker, host, process)
        both = Oracle(host, docker)
        _check_version(both)
        _import_image(both)
        yield both
        both.docker("rmi", "-f", IMAGE)
    finally:
        if process is not None:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def empty_oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dockerd that nobody else uses: one of its own, unless a running one is named."""
    docker = os.environ.get("ARGOSY_ORACLE_CLI") or shutil.which("docker")
    given = os.environ.get("ARGOSY_ORACLE_HOST")
    if given:
        yield given
        return
    if docker is None:
        pytest.fail("no docker client to compare with: install it, or set ARGOSY_ORACLE_CLI")
    process, host = _started_daemon(tmp_path_factory.mktemp("dockerd"))
    try:
        _await(docker, host, process)
        yield host
    finally:
        process.terminate()
        process.wait(30)


def _check_version(oracle: Oracle) -> None:
    """Older clients word their errors differently; there would be nothing to learn from the differences."""
    found = oracle.docker("version", "--format", "{{.Client.Version}} {{.Server.Version}}").stdout.split()
    for version in found:
        if tuple(int(part) for part in version.split("+")[0].split(".")[:2]) < _OLDEST:
            pytest.fail(
                f"docker {'.'.join(map(str, _OLDEST))} or newer is needed to compare with, not {version}"
            )


def _import_image(oracle: Oracle) -> None:
    """A root filesystem of one static busybox, since the test may not reach a registry."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.fail("no busybox to make an image of")
    applets = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(busybox, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("etc/group", "root:x:0:\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        for name in ("tmp", "root"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
    made = oracle.docker("import", "-c", 'CMD ["sh"]', "-", IMAGE, stdin=buffer.getvalue())
    assert made.code == 0, made.stderr


@pytest.fixture(scope="session")
def image(oracle: Oracle) -> str:
    return IMAGE


@pytest.fixture(scope="session")
def running(oracle: Oracle) -> Iterator[str]:
    """The name of a container that sleeps."""
    name = f"argosy-oracle-{os.getpid()}"
    words = ["run", "-d", "--name", name, "--network", "none", "-l", "of=oracle", "-e", "X=1"]
    made = oracle.docker(*words, "-v", "/data", IMAGE, "sleep", "1000")
    assert made.code == 0, made.stderr
    yield name
    oracle.docker("rm", "-f", "-v", name)


class RecordingEngine:
    """Answers every request well enough for a client to go on, and keeps what it was sent."""

    def __init__(self, path: Path) -> None:
        self.host = f"unix://{path}"
        self.requests: list[tuple[str, bytes]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                length = 0
                while (header := stream.readline()).strip():
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                self.requests.append((line.decode().strip(), stream.read(length)))
                self._answer(connection, line.decode())

    def respond(self, line: str) -> bytes:
        return b'{"Id":"abc123","Warnings":[]}' if "containers/create" in line else b"{}"

    def _answer(self, connection: socket.socket, line: str) -> None:
        body = self.respond(line)
        status = "201 Created" if "create" in line else "200 OK"
        head = (
            f"HTTP/1.1 {status}\r\nApi-Version: 1.51\r\nOstype: linux\r\nContent-Type: application/json\r\n"
        )
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        if not line.startswith("HEAD"):
            connection.sendall(body)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[RecordingEngine]:
    engine = RecordingEngine(tmp_path / "engine.sock")
    yield engine
    engine.stop()
