"""The shim: the parent of every container.

One small process for all containers, standard library only, a single thread around one epoll. Beside it
is its fork server, already warm when a container is wanted: it clones itself, and the copy turns into the
container's first process (`init`). From then on the shim holds the stdio, writes the log, relays attached
clients, reaps by pidfd, and keeps the exit code until the engine says that it is stored.

It outlives the engine. While none is connected, everything goes on; the next engine says `hello`,
learns what runs and what ended, and goes on from there. `protocol` has the words.
"""

import binascii
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from argosy import __version__
from argosy.linux import caps, cgroup, namespaces, process, tty
from argosy.linux.private import UMASK
from argosy.linux.sealed import run_sealed
from argosy.runtime import init, plan, protocol
from argosy.runtime.forkserver import ForkServer, Main
from argosy.runtime.logfile import Writer
from argosy.runtime.rehearsal import rehearse
from argosy.runtime.streams import Client, Poller, Stdio
from argosy.spec.oci_runtime import Config

SOCKET_NAME = "shim.sock"
Key = tuple[str, str]


class Refusal(Exception):
    """An answer other than success; `kind` as in `protocol`."""

    def __init__(self, message: str, kind: str = "failed") -> None:
        super().__init__(message)
        self.kind = kind


class Running:
    """A process of ours: a container's first (`exec` is ""), or one exec'd into it."""

    __slots__ = (
        "cgroup",
        "complaint",
        "exec",
        "exit",
        "failure",
        "host_pid",
        "id",
        "log",
        "pid",
        "pidfd",
        "started",
        "stdio",
    )

    def __init__(self, key: Key, pid: int, pidfd: int, stdio: Stdio) -> None:
        self.id, self.exec = key
        self.pid = pid
        self.pidfd = pidfd
        self.stdio = stdio
        self.started = 0
        self.cgroup = ""
        self.host_pid = False
        self.log: Writer | None = None
        self.failure: dict[str, str] = {}
        self.complaint = ""
        self.exit: dict[str, Any] = {}

    @property
    def key(self) -> Key:
        return self.id, self.exec


class Birth(NamedTuple):
    """What a new process is, see `ForkServer.spawn`."""

    main: Main
    parcel: Any
    flags: int
    namespace: int


class Connection:
    """An engine. Messages that its socket has no room for wait here."""

    def __init__(self, shim: "Shim", connection: socket.socket) -> None:
        self._shim = shim
        self._socket = connection
        self._outbox: deque[dict[str, Any]] = deque()
        connection.setblocking(False)
        shim.poller.add(connection.fileno(), select.EPOLLIN, self._ready)

    def send(self, body: dict[str, Any]) -> None:
        self._outbox.append(body)
        if len(self._outbox) == 1:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._outbox:
                protocol.send(self._socket, self._outbox[0])
                self._outbox.popleft()
        except BlockingIOError:
            self._shim.poller.modify(self._socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
            return
        except OSError:
            self.close()
            return
        self._shim.poller.modify(self._socket.fileno(), select.EPOLLIN)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._shim.poller.remove(self._socket.fileno())
            self._socket.close()
            self._shim.disconnected(self)

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if not events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            return
        try:
            request, descriptors = protocol.receive(self._socket)
        except BlockingIOError:
            return
        except OSError:
            request, descriptors = None, []
        if request is None:
            self.close()
        else:
            self._shim.handle(self, request, descriptors)


class Shim:
    def __init__(self, listener: socket.socket, fork_server: ForkServer) -> None:
        self.poller = Poller()
        self._fork_server = fork_server
        self._running: dict[Key, Running] = {}
        self._waiting: dict[Key, list[Client]] = {}
        # Of those that have gone while they waited, the last that had input.
        self._gone: dict[Key, Client] = {}
        self._engine: Connection | None = None
        self._last_filter = "", b""
        self._listener = listener
        self.stopping = False
        listener.setblocking(False)
        self.poller.add(listener.fileno(), select.EPOLLIN, self._accept)

    def run(self) -> None:
        while not self.stopping:
            self.poller.poll()

    def _accept(self, events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            Connection(self, connection)

    def disconnected(self, connection: Connection) -> None:
        if self._engine is connection:
            self._engine = None

    def handle(self, connection: Connection, request: dict[str, Any], descriptors: list[int]) -> None:
        handler = _HANDLERS.get(request["op"])
        answer: dict[str, Any] | None
        try:
            if handler is None:
                raise Refusal(f"unknown operation {request['op']}")
            answer = handler(self, connection, request, descriptors)
        except Refusal as error:
            answer = {"error": str(error), "kind": error.kind}
        except Exception as error:  # noqa: BLE001  who asks must be answered, or waits for ever
            answer = {"error": str(error), "kind": "failed"}
        for descriptor in descriptors:
            os.close(descriptor)
        if answer is not None and "seq" in request:
            connection.send({"seq": request["seq"], **answer})

    # What the engine asks for. An answer of None comes later.

    def hello(self, connection: Connection, request: dict[str, Any], _: list[int]) -> dict[str, Any]:
        self._engine = connection
        for running in self._running.values():
            if running.started:
                connection.send(
                    {
                        "event": "known",
                        "id": running.id,
                        "exec": running.exec,
                        "pid": running.pid,
                        "time": running.started,
                    }
                )
            if running.exit:
                connection.send(running.exit)
        return {"pid": os.getpid(), "version": __version__}

    def start(self, connection: Connection, request: dict[str, Any], _: list[int]) -> None:
        key: Key = (request["id"], "")
        if key in self._running:
            raise Refusal(f"container {request['id']} is already running")
        with open(os.path.join(request["bundle"], "config.json"), "rb") as file:
            config: Config = json.loads(file.read())
        path = config["linux"].get("cgroupsPath", "")
        program = self._seccomp_program(config.get("argosy", {}).get("seccomp", ""))
        parcel = plan.written(plan.plan_init(config)), config["process"], program
        log = request.get("log")
        writer = Writer(log["directory"], log["max_size"], log["max_files"]) if log else None
        try:
            if path:
                cgroup.group(path).create(config["linux"].get("resources", {}))
            with _opened(plan.pid_namespace(config)) as namespace:
                running = self._fork(
                    key,
                    request,
                    terminal=bool(config["process"].get("terminal")),
                    log=writer,
                    birth=Birth(init.container_main, parcel, plan.clone_flags(config), namespace),
                    answer_to=connection,
                )
        except BaseException:
            if writer is not None:
                writer.close()
            if path:
                cgroup.group(path).remove()
            self._end_waiting(key)
            raise
        running.cgroup = path
        running.log = writer
        running.host_pid = not plan.clone_flags(config) & namespaces.CLONE_NEWPID

    def execute(self, connection: Connection, request: dict[str, Any], _: list[int]) -> None:
        try:
            container = self._find((request["id"], ""))
            if container.exit:
                raise Refusal(f"container {request['id']} is not running", "missing")
            self._fork(
                (request["id"], request["exec"]),
                request,
                terminal=bool(request.get("terminal")),
                log=None,
                birth=Birth(init.exec_main, request, 0, container.pidfd),
                answer_to=connection,
            )
        except BaseException:
            self._end_waiting((request["id"], request["exec"]))
            raise

    def _seccomp_program(self, path: str) -> bytes:
        """Named by its content. Most containers have the same, so the last one is kept."""
        if path and self._last_filter[0] != path:
            with open(path, "rb") as file:
                self._last_filter = path, file.read()
        return self._last_filter[1] if path else b""

    def attach(self, _: Connection, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        key: Key = (request["id"], request.get("exec", ""))
        client = Client(
            socket.socket(fileno=descriptors.pop(0)),
            stdin=request["stdin"],
            stdout=request["stdout"],
            stderr=request["stderr"],
            detach_keys=binascii.a2b_base64(request.get("detach_keys", "")),
            initial=os.pread(descriptors[0], os.fstat(descriptors[0]).st_size, 0),
        )
        running = self._running.get(key)
        if running is not None and not running.stdio.closed:
            running.stdio.attach(client, running=bool(running.started))
        else:
            self._waiting.setdefault(key, []).append(client)
            # Nothing is asked for: EPOLLHUP and EPOLLERR come regardless.
            self.poller.add(client.socket.fileno(), 0, lambda events: self._waiting_gone(key, client))
        return {}

    def signal(self, _: Connection, request: dict[str, Any], __: list[int]) -> dict[str, Any]:
        running = self._find((request["id"], request.get("exec", "")))
        if running.exit:
            # Its pidfd is closed: the number may by now be another process's.
            raise Refusal("the process has ended", "missing")
        try:
            signal.pidfd_send_signal(running.pidfd, request["signal"])
        except ProcessLookupError:
            raise Refusal("the process has ended", "missing") from None
        return {}

    def resize(self, _: Connection, request: dict[str, Any], __: list[int]) -> dict[str, Any]:
        running = self._find((request["id"], request.get("exec", "")))
        if running.stdio.terminal_master >= 0:
            tty.set_size(running.stdio.terminal_master, request["height"], request["width"])
        return {}

    def release(self, _: Connection, request: dict[str, Any], __: list[int]) -> dict[str, Any]:
        running = self._running.get((request["id"], request.get("exec", "")))
        if running is not None and running.exit:
            del self._running[running.key]
        return {}

    def ping(self, _: Connection, request: dict[str, Any], __: list[int]) -> dict[str, Any]:
        return {}

    def forget(self, _: Connection, request: dict[str, Any], __: list[int]) -> dict[str, Any]:
        self._end_waiting((request["id"], request.get("exec", "")))
        return {}

    def shutdown(self, _: Connection, request: dict[str, Any], __: list[int]) -> dict[str, Any]:
        alive = sum(not running.exit for running in self._running.values())
        if alive:
            raise Refusal(f"{alive} processes are running", "refused")
        self.stopping = True
        return {}

    # The life of a process.

    def _fork(
        self,
        key: Key,
        request: dict[str, Any],
        *,
        terminal: bool,
        log: Writer | None,
        birth: "Birth",
        answer_to: Connection,
    ) -> Running:
        stdio = Stdio(
            self.poller,
            terminal=terminal,
            open_stdin=request.get("open_stdin", False),
            stdin_once=request.get("stdin_once", False),
            log=log,
        )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends = stdio.make_pipes()
        try:
            pid, pidfd = self._fork_server.spawn(
                birth.main, birth.parcel, birth.flags, theirs.fileno(), ends, birth.namespace
            )
        except BaseException:
            ours.close()
            stdio.abandon()
            raise
        finally:
            theirs.close()
            for end in ends:
                os.close(end)
        running = Running(key, pid, pidfd, stdio)
        running.complaint = request.get("complaint", "")
        self._running[key] = running
        for client in self._waiting.pop(key, []):
            self.poller.remove(client.socket.fileno())
            stdio.attach(client, running=False)
        if gone := self._gone.pop(key, None):
            stdio.leave_input(gone)
            gone.socket.close()
        ours.setblocking(False)
        self.poller.add(
            ours.fileno(),
            select.EPOLLIN,
            lambda events: self._report(running, ours, answer_to, request.get("seq")),
        )
        return running

    def _report(
        self, running: Running, channel: socket.socket, connection: Connection, seq: int | None
    ) -> None:
        """What the child says until it execs."""
        try:
            message, descriptors = protocol.receive(channel)
        except BlockingIOError:
            return
        except ConnectionResetError:
            message, descriptors = None, []
        if message is not None:
            if "error" in message:
                running.failure = message
            elif descriptors:
                running.stdio.set_terminal(descriptors[0])
            return
        self.poller.remove(channel.fileno())
        channel.close()
        if running.failure:
            self._failed(running)
            connection.send({"seq": seq, **running.failure})
            return
        running.started = time.time_ns()
        running.stdio.start()
        self.poller.add(running.pidfd, select.EPOLLIN, lambda events: self._exited(running))
        connection.send({"seq": seq, "pid": running.pid, "time": running.started})

    def _failed(self, running: Running) -> None:
        os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED)
        os.close(running.pidfd)
        del self._running[running.key]
        running.stdio.drain()
        if running.complaint:
            # The headers are sent: the client reads the reason where it expected output.
            running.stdio.tell(f"{running.complaint}{running.failure['error']}\r\n".encode())
        running.stdio.end()
        if running.cgroup:
            cgroup.group(running.cgroup).remove()

    def _exited(self, running: Running) -> None:
        result = os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED | os.WNOHANG)
        if result is None:
            return
        ended = time.time_ns()
        self.poller.remove(running.pidfd)
        os.close(running.pidfd)
        status = result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
        running.stdio.drain()
        out_of_memory = False
        if running.cgroup:
            group = cgroup.group(running.cgroup)
            try:
                out_of_memory = group.oom_kills() > 0
                if running.host_pid:
                    _kill_rest(group)
                group.remove()
            except OSError as error:
                # EBUSY: somebody else has put a process in. Whatever it is, the exit must be told, and the
                # engine removes what is left when it starts.
                print(f"cgroup of {running.id}: {error}", file=sys.stderr, flush=True)
        running.exit = {
            "event": "exited",
            "id": running.id,
            "exec": running.exec,
            "status": status,
            "oom": out_of_memory,
            "time": ended,
            "lost": running.log.lost if running.log else 0,
        }
        # The engine first: a client that sees the end of its stream asks it for the exit code.
        if self._engine is not None:
            self._engine.send(running.exit)
        running.stdio.end()

    def _find(self, key: Key) -> Running:
        running = self._running.get(key)
        if running is None:
            raise Refusal(f"no process {'/'.join(part for part in key if part)}", "missing")
        return running

    def _end_waiting(self, key: Key) -> None:
        for client in self._waiting.pop(key, []):
            self.poller.remove(client.socket.fileno())
            client.socket.close()
        if gone := self._gone.pop(key, None):
            gone.socket.close()

    def _waiting_gone(self, key: Key, client: Client) -> None:
        waiting = self._waiting[key]
        waiting.remove(client)
        if not waiting:
            del self._waiting[key]
        self.poller.remove(client.socket.fileno())
        former = self._gone.get(key) if client.stdin else client
        if client.stdin:
            self._gone[key] = client
        if former is not None:
            former.socket.close()


_HANDLERS: dict[str, Any] = {
    "hello": Shim.hello,
    "start": Shim.start,
    "exec": Shim.execute,
    "attach": Shim.attach,
    "signal": Shim.signal,
    "resize": Shim.resize,
    "release": Shim.release,
    "ping": Shim.ping,
    "forget": Shim.forget,
    "shutdown": Shim.shutdown,
}


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """A descriptor of a namespace; -1 for none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else -1
    try:
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _kill_rest(group: cgroup.Group) -> None:
    """Without a PID namespace of its own, a container's other processes outlive its first."""
    for _ in range(10):
        remaining = group.pids()
        if not remaining:
            return
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def main() -> None:
    run_sealed()
    # The copy it was begun from, above all.
    process.close_all_except([0, 1, 2])
    directory = sys.argv[1] if len(sys.argv) > 1 else "/run/argosy"
    path = os.path.join(directory, SOCKET_NAME)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.umask(UMASK)
    listener.bind(path)
    listener.listen(16)
    process.stop_ignoring_signals()
    # Python itself needs this one ignored; every child gives it up at the end.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Handlers, not SIG_IGN: an ignored signal would stay ignored in every container.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    process.set_name("argosy-shim")
    # Inherited by every clone, so that no container can ptrace one before it has exec'd.
    process.prctl(process.PR_SET_DUMPABLE, 0)
    # Read once here instead of in every child.
    caps.held()
    caps.last_cap()
    gc.collect()
    gc.freeze()
    fork_server = ForkServer(init.container_main, init.exec_main, prepare=lambda: rehearse(directory))
    Shim(listener, fork_server).run()
    os.unlink(path)


if __name__ == "__main__":
    main()
