"""Docker's engine and ours side by side, each driven by a client of its own, and raw requests to both."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import base_images

# What tests make, either engine makes at a time of its own; an older time was given on purpose.
_RECENT = 1_600_000_000
_HEXADECIMAL = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")


class Side:
    """An engine, and the command line that belongs to it."""

    def __init__(self, host: str, command: Sequence[str]) -> None:
        self.host = host
        self._command = command

    def __call__(
        self, *words: str, stdin: bytes = b"", directory: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "DOCKER_HOST": self.host, "ARGOSY_HOST": self.host}
        return subprocess.run(
            [*self._command, *words],
            env=environment,
            input=stdin,
            capture_output=True,
            cwd=directory,
            timeout=60,
            check=False,
        )

    def ok(self, *words: str, stdin: bytes = b"") -> str:
        done = self(*words, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def script(self, text: str, directory: Path) -> str:
        """What a shell prints, errors too; `docker` in it is this side's command line."""
        function = f'docker() {{ {shlex.join(self._command)} "$@"; }}\n'
        environment = {**os.environ, "DOCKER_HOST": self.host, "ARGOSY_HOST": self.host, "LC_ALL": "C"}
        done = subprocess.run(
            ["sh", "-c", f"exec 2>&1\n{function}{text}"],
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return _HEXADECIMAL.sub("ID", done.stdout).replace("argosy", "docker")

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.host.removeprefix("unix://"))
        try:
            connection.request(method, f"/v1.51{path}", body or None)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


def docker_side(host: str, cache: Path) -> Side:
    docker = shutil.which("docker")
    assert docker
    side = Side(host, [docker])
    side.ok(*base_images.import_arguments("busybox", base_images.archive_of("busybox", cache)))
    return side


def our_side(host: str) -> Side:
    return Side(host, [sys.executable, "-m", "argosy.cli.main"])


def network_of(host: str) -> str:
    """The network namespace of the daemon behind a socket, with a loopback device that is up."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(host.removeprefix("unix://"))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    path = f"/proc/{struct.unpack('3i', peer)[0]}/ns/net"
    subprocess.run(["nsenter", f"--net={path}", "ip", "link", "set", "lo", "up"], check=True)
    return path


def described(member: tarfile.TarInfo) -> tuple[Any, ...]:
    """An archive's entry without its name, for comparisons: what was made just now has no time."""
    time = int(member.mtime) if member.mtime < _RECENT else 0
    return member.type, member.mode, member.uid, member.gid, member.size, member.linkname, time
