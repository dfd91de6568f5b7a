"""What a user does with containers, by our command line and by Docker's, on a real kernel."""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from engine_fixture import Answer, LocalEngine

Client = Callable[..., Answer]


@pytest.fixture(params=["argosy", "docker"])
def client(request: pytest.FixtureRequest, engine: LocalEngine) -> Client:
    """The same commands through both command lines."""
    return engine.argosy if request.param == "argosy" else engine.docker


def _free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _page(url: str) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                body: bytes = reply.read()
                return body.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


WEB = "mkdir -p /www && echo hello-from-$(hostname) > /www/index.html && exec httpd -f -p 80 -h /www"


def test_run_prints_output_and_passes_the_exit_code_on(client: Client) -> None:
    answer = client("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (answer.code, answer.stdout, answer.stderr) == (7, "out\n", "err\n")


def test_run_feeds_stdin_and_ends_at_its_end(client: Client) -> None:
    data = os.urandom(300_000).hex().encode()
    answer = client("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo end", stdin=data)
    assert answer.stdout == data.decode() + "end\n"


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("busybox", "no-such-program"), 127, "executable file not found in $PATH"),
        (("busybox", "/no/such/file"), 127, "no such file or directory"),
        (("busybox", "/etc/passwd"), 126, "permission denied"),
        (("busybox", "/etc"), 126, "permission denied"),
        (("-u", "nobdy", "busybox", "true"), 125, "unable to find user nobdy"),
        (("-w", "/etc/passwd", "busybox", "true"), 125, "not a directory"),
        (("-m", "1m", "busybox", "true"), 125, "Minimum memory limit allowed is 6MB"),
        (("--network", "nowhere", "busybox", "true"), 125, "network nowhere not found"),
        (("--bad-flag", "busybox"), 125, "unknown flag: --bad-flag"),
    ],
)
def test_what_cannot_run_has_dockers_exit_code_and_a_reason(
    client: Client, words: tuple[str, ...], code: int, reason: str
) -> None:
    answer = client("run", "--rm", *words)
    assert answer.code == code
    assert reason in answer.stderr


def test_a_container_that_could_not_start_with_rm_is_gone(engine: LocalEngine) -> None:
    assert engine.argosy("run", "--rm", "busybox", "no-such-program").code == 127
    assert engine.ok("ps", "-aq") == ""


def test_memory_limit_kills_with_137_and_is_reported(client: Client, engine: LocalEngine) -> None:
    script = "x=a; while true; do x=$x$x; done"
    answer = client("run", "--name", "hungry", "-m", "20m", "busybox", "sh", "-c", script)
    assert answer.code == 137
    assert engine.ok("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry") == "true 137"


def test_the_life_of_a_detached_container(client: Client) -> None:
    identifier = client(
        "run", "-d", "--name", "life", "busybox", "sh", "-c", "echo begun; exec sleep 1000"
    ).stdout
    assert len(identifier.strip()) == 64
    assert client("ps", "--format", "{{.Names}} {{.Image}} {{.State}}").stdout == "life busybox running\n"
    assert client("exec", "life", "sh", "-c", "echo in; exit 3").code == 3
    assert client("logs", "life").stdout == "begun\n"
    assert client("rm", "life").code == 1
    assert client("stop", "-t", "0", "life").stdout == "life\n"
    assert client("ps", "-a", "--format", "{{.Status}}").stdout.startswith("Exited (137)")
    assert client("start", "life").stdout == "life\n"
    assert client("restart", "-t", "0", "life").code == 0
    assert client("kill", "life").code == 0
    assert client("wait", "life").stdout == "137\n"
    assert client("rename", "life", "death").code == 0
    assert client("rm", "death").stdout == "death\n"
    assert client("ps", "-aq").stdout == ""


def test_prune_removes_what_has_stopped_only(client: Client) -> None:
    client("run", "--name", "done", "busybox", "true")
    client("run", "-d", "--name", "alive", "busybox", "sleep", "1000")
    pruned = client("container", "prune", "-f").stdout
    assert "Deleted Containers:" in pruned
    assert client("ps", "-a", "--format", "{{.Names}}").stdout == "alive\n"


def test_isolation_is_what_docker_gives(client: Client) -> None:
    script = (
        "echo $$ $(hostname) $(id -u):$(id -g); grep -E '^(CapEff|CapBnd|CapInh|Seccomp|NoNewPrivs):' /proc/self/status; "
        "ls /proc | grep -c '^[0-9]'; ls /dev; ls -l /dev/fd; touch /proc/sys/kernel/x 2>&1; cat /proc/kcore | wc -c; "
        "ls /sys/firmware | wc -l; mount -t tmpfs none /mnt 2>&1; unshare -m true 2>&1; hostname changed 2>&1"
    )
    out = client("run", "--rm", "--hostname", "inner", "busybox", "sh", "-c", script).stdout
    assert out.startswith("1 inner 0:0\n")
    assert "CapEff:\t00000000a80425fb" in out
    assert "CapBnd:\t00000000a80425fb" in out
    assert "CapInh:\t0000000000000000" in out
    assert "Seccomp:\t2" in out
    assert (
        out.count("Operation not permitted") + out.count("Permission denied") + out.count("permission denied")
        >= 2
    )
    for device in (
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "pts",
        "shm",
        "mqueue",
        "ptmx",
        "stdin",
    ):
        assert f"\n{device}\n" in out


def test_settings_reach_the_container(client: Client, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM_FILE=yes\n# comment\n")
    out = client(
        "run", "--rm", "-e", "A=1", "-e", "B=two words", "--env-file", str(tmp_path / "env"), "-w", "/made/here",
        "-u", "www:staff", "--hostname", "h1", "--add-host", "friend:10.9.8.7", "--dns", "9.9.9.9",
        "--ulimit", "nofile=99:100", "--cap-drop", "ALL", "--cap-add", "NET_RAW", "--label", "x=y",
        "busybox", "sh", "-c",
        "pwd; id -u; id -g; echo $A $B $FROM_FILE $HOME; hostname; ulimit -n; "
        "grep CapBnd /proc/self/status; grep friend /etc/hosts; cat /etc/resolv.conf | tail -1",
    ).stdout  # fmt: skip
    assert out.splitlines() == [
        "/made/here", "1000", "50", "1 two words yes /home", "h1", "99", "CapBnd:\t0000000000002000",
        "10.9.8.7\tfriend", "nameserver 9.9.9.9",
    ]  # fmt: skip


def test_limits_are_in_the_cgroup(client: Client) -> None:
    out = client(
        "run", "--rm", "-m", "64m", "--cpus", "0.5", "--pids-limit", "33", "busybox", "sh", "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max 2>/dev/null"
        " || cat memory.max cpu.max pids.max",
    ).stdout  # fmt: skip
    assert out.split()[:1] == [str(64 << 20)]
    assert "50000" in out
    assert out.split()[-1] == "33"


def test_a_read_only_root_with_a_tmpfs(client: Client) -> None:
    script = "touch /x 2>&1; touch /scratch/y && ls /scratch; grep ' /scratch ' /proc/mounts"
    out = client(
        "run", "--rm", "--read-only", "--tmpfs", "/scratch:size=1m", "busybox", "sh", "-c", script
    ).stdout
    assert "Read-only file system" in out
    assert "size=1024k" in out


def test_volumes_keep_data_and_take_over_what_the_image_has(client: Client, tmp_path: Path) -> None:
    volume = f"v{os.urandom(4).hex()}"
    out = client(
        "run", "--rm", "-v", f"{volume}:/etc", "busybox", "sh", "-c", "touch /etc/mine; ls /etc"
    ).stdout
    assert "passwd" in out
    out = client(
        "run", "--rm", "-v", f"{volume}:/data:ro", "busybox", "sh", "-c", "ls /data; touch /data/x 2>&1"
    ).stdout
    assert "mine" in out and "Read-only file system" in out
    (tmp_path / "file").write_text("from the host")
    out = client(
        "run", "--rm", "-v", f"{tmp_path}:/h", "busybox", "sh", "-c", "cat /h/file; echo back > /h/new"
    ).stdout
    assert out == "from the host"
    assert (tmp_path / "new").read_text() == "back\n"
    assert client("volume", "rm", volume).stdout.strip() == volume


def test_a_published_port_answers_on_loopback_and_from_other_containers(
    client: Client, engine: LocalEngine
) -> None:
    port = _free_port()
    client("run", "-d", "--name", "web", "--hostname", "web", "-p", f"{port}:80", "busybox", "sh", "-c", WEB)
    assert _page(f"http://127.0.0.1:{port}/") == "hello-from-web\n"
    assert _page(f"http://localhost:{port}/") == "hello-from-web\n"
    gateway = engine.ok("inspect", "-f", "{{.NetworkSettings.Gateway}}", "web")
    address = engine.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web")
    for url in (f"http://{gateway}:{port}/", f"http://{address}/"):
        assert client("run", "--rm", "busybox", "wget", "-qO-", url).stdout == "hello-from-web\n"
    assert client("exec", "web", "wget", "-qO-", f"http://{gateway}:{port}/").stdout == "hello-from-web\n"
    assert f"80/tcp -> 0.0.0.0:{port}" in client("port", "web").stdout


def test_ports_in_all_forms(client: Client) -> None:
    first = _free_port()
    answer = client(
        "run", "-d", "--name", "many", "-p", "80", "-p", f"127.0.0.1:{first}:81/udp", "-p", "127.0.0.1::82",
        "busybox", "sleep", "1000",
    )  # fmt: skip
    assert answer.code == 0, answer.stderr
    ports = dict(line.split(" -> ") for line in client("port", "many").stdout.splitlines())
    assert ports["80/tcp"].startswith("0.0.0.0:")
    assert ports["81/udp"] == f"127.0.0.1:{first}"
    assert ports["82/tcp"].startswith("127.0.0.1:")


def test_udp_is_published(engine: LocalEngine) -> None:
    port = _free_port(socket.SOCK_DGRAM)
    engine.ok("run", "-d", "--name", "echo", "-p", f"{port}:7/udp", "busybox", "sleep", "1000")
    pid = engine.ok("inspect", "-f", "{{.State.Pid}}", "echo")
    server = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 7)); "
        "s.settimeout(20); data, peer = s.recvfrom(100); s.sendto(data[::-1], peer)"
    )
    with subprocess.Popen(["nsenter", "-t", pid, "-n", sys.executable, "-c", server]) as process:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.settimeout(0.3)
            answer = b""
            for _ in range(40):
                caller.sendto(b"ping", ("127.0.0.1", port))
                try:
                    answer = caller.recv(100)
                    break
                except (TimeoutError, ConnectionRefusedError):
                    time.sleep(0.05)
        assert answer == b"gnip"
        assert process.wait(20) == 0


def test_a_published_port_answers_another_host(engine: LocalEngine) -> None:
    port, name = _free_port(), f"agt{os.getpid() % 10000}h"
    # Others may test on this machine at the same time.
    network = f"10.98.{os.getpid() % 250}"
    engine.ok(
        "run", "-d", "--name", "web", "--hostname", "web", "-p", f"{port}:80", "busybox", "sh", "-c", WEB
    )
    address = engine.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web")
    _page(f"http://127.0.0.1:{port}/")
    commands = [
        f"ip netns add {name}",
        f"ip link add {name}0 type veth peer name {name}1 netns {name}",
        f"ip addr add {network}.1/24 dev {name}0",
        f"ip link set {name}0 up",
        f"ip -n {name} addr add {network}.2/24 dev {name}1",
        f"ip -n {name} link set {name}1 up",
        f"ip -n {name} route add default via {network}.1",
    ]
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        fetch = ["ip", "netns", "exec", name, "curl", "-s", "--max-time", "3"]
        reply = subprocess.run(
            [*fetch, f"http://{network}.1:{port}/"], capture_output=True, text=True, check=True
        )
        assert reply.stdout == "hello-from-web\n"
        # The container's own address is no way in: only what is published is.
        refused = subprocess.run([*fetch, f"http://{address}/"], capture_output=True, check=False)
        assert refused.returncode != 0
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_apt_works_through_nat(own_engine: LocalEngine) -> None:
    own_engine.import_base("debian")
    settings = (
        "/etc/apt",
        "/etc/ssl/certs",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
    )
    binds = [word for path in settings if os.path.exists(path) for word in ("-v", f"{path}:{path}:ro")]
    proxies = [word for name in ("http_proxy", "https_proxy") for word in ("-e", name) if name in os.environ]
    answer = own_engine.argosy("run", "--rm", *binds, *proxies, "debian", "apt-get", "update", timeout=120)
    assert answer.code == 0, answer.stderr
    assert "Reading package lists" in answer.stdout


def test_a_port_in_use_is_refused_and_the_holder_named(engine: LocalEngine) -> None:
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        port = holder.getsockname()[1]
        answer = engine.argosy("run", "--rm", "-p", f"{port}:80", "busybox", "true")
        assert answer.code == 125
        assert "address already in use" in answer.stderr
        assert f"(pid {os.getpid()})" in answer.stderr
    port = _free_port()
    engine.ok("run", "-d", "--name", "first", "-p", f"{port}:80", "busybox", "sleep", "1000")
    answer = engine.argosy("run", "-d", "--name", "second", "-p", f"{port}:80", "busybox", "true")
    assert answer.code == 125
    assert "port is already allocated" in answer.stderr
    assert "first" in answer.stderr
    engine.ok("rm", "second")


def test_host_and_no_network(client: Client) -> None:
    names = client("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net").stdout.split()
    assert sorted(names) == sorted(os.listdir("/sys/class/net"))
    assert client("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net").stdout == "lo\n"


def test_logs_by_lines_time_and_as_they_come(engine: LocalEngine) -> None:
    script = "for i in 1 2 3 4 5; do echo line$i; done; echo bad >&2; sleep 0.5; echo last"
    engine.ok("run", "-d", "--name", "talk", "busybox", "sh", "-c", script)
    began = time.monotonic()
    assert engine.ok("logs", "-f", "talk").endswith("last")
    assert time.monotonic() - began < 5
    for client in (engine.argosy, engine.docker):
        assert client("logs", "-n", "2", "talk").stdout == "last\n"
        assert client("logs", "-n", "2", "talk").stderr == "bad\n"
        stamped = client("logs", "-t", "-n", "1", "talk").stdout
        moment, _, text = stamped.partition(" ")
        assert text == "last\n"
        assert client("logs", "--since", moment, "talk").stdout == "last\n"
        assert "last" not in client("logs", "--until", "2020-01-01T00:00:00Z", "talk").stdout


class _Terminal:
    """A command of ours in a terminal of its own."""

    def __init__(self, engine: LocalEngine, *words: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, "-m", "argosy.cli.main", *words], engine.environment)
        self.seen = b""

    def expect(self, text: bytes) -> None:
        deadline = time.monotonic() + 10
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], 0.2)
            if ready:
                try:
                    self.seen += os.read(self.master, 4096)
                except OSError:
                    break
            assert time.monotonic() < deadline, self.seen
        assert text in self.seen, self.seen
        self.seen = self.seen.split(text, 1)[1]

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def end(self) -> int:
        deadline = time.monotonic() + 10
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.master)
                return os.waitstatus_to_exitcode(status)
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if ready:
                try:
                    self.seen += os.read(self.master, 4096)
                except OSError:
                    time.sleep(0.01)
            assert time.monotonic() < deadline, self.seen


def test_an_interactive_terminal_with_its_size_and_detach_keys(engine: LocalEngine) -> None:
    terminal = _Terminal(engine, "run", "-it", "--name", "shell", "busybox", "sh")
    terminal.expect(b"# ")
    terminal.send(b"echo $((40+2)); tty\n")
    terminal.expect(b"42")
    terminal.expect(b"/dev/pts/0")
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    os.kill(terminal.pid, signal.SIGWINCH)
    time.sleep(0.3)
    terminal.send(b"stty size\n")
    terminal.expect(b"33 99")
    terminal.send(b"\x10\x11")
    assert terminal.end() == 0
    assert engine.ok("inspect", "-f", "{{.State.Running}}", "shell") == "true"
    again = _Terminal(engine, "attach", "shell")
    again.send(b"echo back; exit 5\n")
    again.expect(b"back")
    assert again.end() == 5


def test_ctrl_c_reaches_the_container(engine: LocalEngine) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while true; do sleep 0.05; done"
    terminal = _Terminal(engine, "run", "--rm", "busybox", "sh", "-c", script)
    terminal.expect(b"ready")
    terminal.send(b"\x03")
    assert terminal.end() == 9


def test_stop_uses_the_stop_signal(engine: LocalEngine) -> None:
    script = "trap 'exit 44' USR1; echo ready; while true; do sleep 0.02; done"
    engine.ok("run", "-d", "--name", "polite", "--stop-signal", "USR1", "busybox", "sh", "-c", script)
    while "ready" not in engine.ok("logs", "polite"):
        time.sleep(0.02)
    engine.ok("stop", "polite")
    assert engine.ok("inspect", "-f", "{{.State.ExitCode}}", "polite") == "44"


def test_restart_policies(engine: LocalEngine) -> None:
    engine.ok(
        "run", "-d", "--name", "flaky", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo try; exit 3"
    )
    deadline = time.monotonic() + 10
    wanted = "exited 2 3"
    while (
        engine.ok("inspect", "-f", "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}", "flaky")
        != wanted
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert engine.ok("logs", "flaky").split() == ["try"] * 3


def test_typing_mistakes_are_met_with_help(engine: LocalEngine) -> None:
    assert "did you mean --rm?" in engine.argosy("run", "-rm", "busybox").stderr
    assert "did you mean --publish?" in engine.argosy("run", "--port", "80:80", "busybox").stderr
    engine.ok("run", "-d", "--name", "webserver", "busybox", "sleep", "1000")
    assert "webserver" in engine.argosy("stop", "websrver").stderr


def test_two_hundred_megabytes_of_output_come_through_whole(engine: LocalEngine) -> None:
    script = "dd if=/dev/zero bs=1M count=200 2>/dev/null"
    command = [sys.executable, "-m", "argosy.cli.main", "run", "--rm", "busybox", "sh", "-c", script]
    with subprocess.Popen(command, env=engine.environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        total = 0
        while data := process.stdout.read(1 << 20):
            total += len(data)
        assert process.wait() == 0
    assert total == 200 << 20


def test_events_tell_the_story(engine: LocalEngine) -> None:
    command = [sys.executable, "-m", "argosy.cli.main", "events", "--format", "{{json .}}"]
    with subprocess.Popen(command, env=engine.environment, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(0.3)
        engine.ok("run", "--rm", "--name", "story", "busybox", "true")
        assert process.stdout is not None
        seen: list[str] = []

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                event = json.loads(line)
                if event["Type"] == "container":
                    seen.append(event["Action"])
                    if event["Action"] == "destroy":
                        return

        reader = threading.Thread(target=read)
        reader.start()
        reader.join(10)
        process.terminate()
    assert [action for action in seen if action in ("create", "start", "die", "destroy")] == [
        "create", "start", "die", "destroy",
    ]  # fmt: skip


def test_nothing_is_left_of_containers_that_are_gone(own_engine: LocalEngine) -> None:
    for network in ("bridge", "none", "host"):
        own_engine.ok("run", "--rm", "--network", network, "-v", "/anonymous", "busybox", "true")
    own_engine.ok(
        "run", "-d", "--name", "gone", "-p", "127.0.0.1::80", "--tmpfs", "/t", "busybox", "sleep", "1000"
    )
    own_engine.ok("rm", "-f", "gone")
    own_engine.assert_clean()
    assert own_engine.ok("volume", "ls", "-q") == ""


def test_a_start_makes_nothing_on_the_disk(engine: LocalEngine) -> None:
    """Neither mount points nor what tells programs that they are in a container."""
    engine.ok("run", "-d", "--name", "clean", "busybox", "sleep", "1000")
    upper = engine.ok("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", "clean").strip()
    assert os.listdir(upper) == []
    seen = engine.ok("exec", "clean", "sh", "-c", "cat /etc/hostname; readlink /etc/mtab; ls -a / | grep env")
    assert seen.split() == [engine.ok("inspect", "--format", "{{.Config.Hostname}}", "clean").strip(),
                            "/proc/mounts", ".dockerenv"]  # fmt: skip
    engine.ok("rm", "-f", "clean")


def test_what_a_container_removes_of_its_mark_is_there_again_at_the_next_start(engine: LocalEngine) -> None:
    engine.ok(
        "run", "--name", "marked", "busybox", "sh", "-c", "test -e /.dockerenv && rm /.dockerenv /etc/mtab"
    )
    assert engine.ok("start", "-a", "marked") == ""
    assert engine.ok("diff", "marked") == ""
    engine.ok("rm", "marked")
