"""A shim of the test's own, and the engine's side of its protocol spoken by hand."""

import base64
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from argosy.linux import cgroup
from argosy.runtime import logfile, protocol
from argosy.runtime.shim import SOCKET_NAME

PATIENCE = 10
_groups = itertools.count()
STRICT = ["nosuid", "noexec", "nodev"]


class Refused(Exception):
    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Attached:
    """The client's end of an attached connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(PATIENCE)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end_input(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def until(self, text: bytes) -> bytes:
        """What comes up to and with `text`."""
        got = b""
        while text not in got:
            data = self.socket.recv(65536)
            assert data, f"ended after {got!r}"
            got += data
        return got

    def rest(self) -> bytes:
        parts = []
        while data := self.socket.recv(1 << 20):
            parts.append(data)
        return b"".join(parts)

    def streams(self) -> dict[int, bytes]:
        """All that comes until the end, by stream."""
        data = self.rest()
        found: dict[int, bytes] = {}
        while data:
            stream, length = struct.unpack(">BxxxI", data[:8])
            assert len(data) >= 8 + length
            found[stream] = found.get(stream, b"") + data[8 : 8 + length]
            data = data[8 + length :]
        return found


class ShimClient:
    def __init__(self, directory: Path, rootfs: Path) -> None:
        self.directory = directory
        self.parent = f"/agt-{os.getpid()}-{next(_groups)}"
        self._rootfs = rootfs
        self._log = open(directory / "shim.log", "wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "argosy.runtime.shim", os.fspath(directory)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._clients: list[socket.socket] = []
        self._sequence = 0
        self.events: list[dict[str, Any]] = []
        self.connect()

    def connect(self) -> None:
        """As a new engine: what it is told at hello is in `events`."""
        path = os.fspath(self.directory / SOCKET_NAME)
        deadline = time.monotonic() + PATIENCE
        while True:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket.settimeout(PATIENCE)
            try:
                self._socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                self._socket.close()
                assert time.monotonic() < deadline, self.complaints()
                time.sleep(0.005)
        self.events = []
        assert self.ask("hello")["pid"] == self._process.pid

    def disconnect(self) -> None:
        self._socket.close()

    def complaints(self) -> str:
        return (self.directory / "shim.log").read_text()

    def ask(self, op: str, descriptors: tuple[int, ...] = (), **body: Any) -> dict[str, Any]:
        self._sequence += 1
        protocol.send(self._socket, {"op": op, "seq": self._sequence, **body}, descriptors)
        while True:
            message, _ = protocol.receive(self._socket)
            assert message is not None, self.complaints()
            if message.get("seq") == self._sequence:
                if "error" in message:
                    raise Refused(message["error"], message["kind"])
                return message
            self.events.append(message)

    def exit_of(self, identifier: str, exec_id: str = "", *, release: bool = True) -> dict[str, Any]:
        """The `exited` event of a process."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                seen += 1
                if event["event"] == "exited" and (event["id"], event["exec"]) == (identifier, exec_id):
                    if release:
                        self.ask("release", id=identifier, exec=exec_id)
                        self.events.remove(event)
                    return event
            message, _ = protocol.receive(self._socket)
            assert message is not None, self.complaints()
            self.events.append(message)

    def configuration(self, identifier: str, *args: str, **changes: Any) -> dict[str, Any]:
        """`changes` are merged into `process`, `linux` and `root`, or replace other entries."""
        document: dict[str, Any] = {
            "process": {
                "args": list(args),
                "env": ["PATH=/bin"],
                "cwd": "/",
                "argosyUser": "",
                "capabilities": {name: ["CAP_SYS_CHROOT"] for name in ("bounding", "permitted", "effective")},
            },
            "root": {"path": os.fspath(self._rootfs)},
            "hostname": identifier,
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": STRICT},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                {
                    "destination": "/dev/pts",
                    "type": "devpts",
                    "source": "devpts",
                    "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
                },
            ],
            "linux": {
                "cgroupsPath": f"{self.parent}/{identifier}",
                "resources": {},
                "namespaces": [
                    {"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup")
                ],
            },
        }
        for name, value in changes.items():
            if isinstance(document.get(name), dict):
                document[name].update(value)
            else:
                document[name] = value
        return document

    def start(
        self,
        identifier: str,
        *args: str,
        open_stdin: bool = False,
        stdin_once: bool = False,
        log: dict[str, Any] | None = None,
        **changes: Any,
    ) -> int:
        """The pid of a container's first process, once it has exec'd."""
        bundle = self.directory / f"bundle-{identifier}"
        bundle.mkdir(exist_ok=True)
        document = self.configuration(identifier, *args, **changes)
        (bundle / "config.json").write_text(json.dumps(document))
        request: dict[str, Any] = {"id": identifier, "bundle": os.fspath(bundle)}
        if log is not None:
            request["log"] = log
        pid = self.ask("start", **request, open_stdin=open_stdin, stdin_once=stdin_once)["pid"]
        assert isinstance(pid, int)
        return pid

    def exec(self, identifier: str, exec_id: str, *args: str, terminal: bool = False, **process: Any) -> int:
        document = self.configuration(identifier, *args, process={"terminal": terminal, **process})
        path = self.directory / f"exec-{exec_id}.json"
        path.write_text(
            json.dumps({"process": document["process"], "cgroup": document["linux"]["cgroupsPath"]})
        )
        request: dict[str, Any] = {
            "id": identifier,
            "exec": exec_id,
            "bundle": os.fspath(path),
            "terminal": terminal,
        }
        pid = self.ask("exec", **request, open_stdin=True, stdin_once=True)["pid"]
        assert isinstance(pid, int)
        return pid

    def attach(
        self,
        identifier: str,
        exec_id: str = "",
        *,
        stdin: bool = True,
        stdout: bool = True,
        stderr: bool = True,
        keys: bytes = b"",
        initial: bytes = b"",
    ) -> Attached:
        ours, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile(buffering=0) as sent:
            sent.write(initial)
            self.ask(
                "attach",
                (theirs.fileno(), sent.fileno()),
                id=identifier,
                exec=exec_id,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                detach_keys=base64.b64encode(keys).decode(),
            )
        self._clients.append(ours)
        return Attached(ours)

    def signal(self, identifier: str, number: int, exec_id: str = "") -> None:
        self.ask("signal", id=identifier, exec=exec_id, signal=number)

    def logged(self, directory: Path) -> list[tuple[int, bytes]]:
        descriptor = os.open(logfile.path_of(os.fspath(directory)), os.O_RDONLY)
        try:
            return [(frame.stream, frame.payload) for _, frame in logfile.read_frames(descriptor, 0)]
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """End all that runs, and the shim."""
        for connection in self._clients:
            connection.close()
        self._socket.close()
        for name in cgroup.children(self.parent):
            group = cgroup.group(f"{self.parent}/{name}")
            for _ in range(200):
                pids = group.pids()
                if not pids:
                    break
                for pid in pids:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                time.sleep(0.005)
        self._process.kill()
        self._process.wait()
        self._log.close()
        for name in cgroup.children(self.parent):
            cgroup.group(f"{self.parent}/{name}").remove()
        cgroup.group(self.parent).remove()
