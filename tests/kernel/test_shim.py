"""The shim and what it makes of a config.json, on a real kernel. Needs root."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from argosy.linux import cgroup
from argosy.runtime import protocol
from argosy.runtime.logfile import STDERR, STDOUT

from .shim_client import Refused, ShimClient

pytestmark = pytest.mark.root
DETACH = b"\x10\x11"
WAIT_FOR_TERM = 'trap "exit 7" TERM; echo up; while :; do sleep 0.02; done'


@pytest.fixture
def shim(rootfs: Path) -> Iterator[ShimClient]:
    directory = rootfs.parent / "run"
    directory.mkdir()
    client = ShimClient(directory, rootfs)
    yield client
    client.close()
    assert "Traceback" not in client.complaints()


def output(shim: ShimClient, *args: str, **changes: Any) -> dict[int, bytes]:
    """Everything that a container wrote, by stream."""
    client = shim.attach("c")
    shim.start("c", *args, **changes)
    found = client.streams()
    shim.exit_of("c")
    return found


def text(shim: ShimClient, *args: str, **changes: Any) -> str:
    return output(shim, *args, **changes).get(STDOUT, b"").decode()


# Ends


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_programs(shim: ShimClient, code: int) -> None:
    shim.start("c", "sh", "-c", f"exit {code}")
    event = shim.exit_of("c")
    assert (event["status"], event["oom"], event["lost"]) == (code, False, 0)
    assert abs(event["time"] - time.time_ns()) < 10**10


def test_a_program_that_was_killed_counts_as_128_and_the_signal(shim: ShimClient) -> None:
    shim.start("c", "sleep", "60")
    shim.signal("c", signal.SIGKILL)
    assert shim.exit_of("c")["status"] == 137


def test_a_signal_reaches_the_first_process(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "sh", "-c", WAIT_FOR_TERM)
    client.until(b"up")
    shim.signal("c", signal.SIGTERM)
    assert shim.exit_of("c")["status"] == 7


def test_a_process_that_is_gone_takes_no_signal(shim: ShimClient) -> None:
    shim.start("c", "true")
    shim.exit_of("c")
    with pytest.raises(Refused, match="no process c") as refused:
        shim.signal("c", signal.SIGTERM)
    assert refused.value.kind == "missing"


def test_an_end_that_is_not_released_yet_takes_no_signal_nor_does_who_came_after(shim: ShimClient) -> None:
    shim.start("c", "true")
    shim.exit_of("c", release=False)
    shim.start("d", "sleep", "60")
    with pytest.raises(Refused, match="the process has ended") as refused:
        shim.signal("c", signal.SIGKILL)
    assert refused.value.kind == "missing"
    shim.signal("d", signal.SIGTERM)


def test_an_end_is_told_at_every_hello_until_it_is_released(shim: ShimClient) -> None:
    pid = shim.start("c", "sh", "-c", "exit 3")
    assert shim.exit_of("c", release=False)["status"] == 3
    for _ in range(2):
        shim.disconnect()
        shim.connect()
        known, exited = shim.events
        assert (known["event"], known["id"], known["pid"]) == ("known", "c", pid)
        assert (exited["event"], exited["status"]) == ("exited", 3)
    shim.ask("release", id="c", exec="")
    shim.disconnect()
    shim.connect()
    assert shim.events == []


def test_an_end_while_no_engine_is_there_is_not_lost(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "sh", "-c", "sleep 0.05; echo late; exit 9")
    shim.disconnect()
    assert client.streams() == {STDOUT: b"late\n"}
    shim.connect()
    assert shim.exit_of("c")["status"] == 9


def test_the_group_is_there_while_the_container_runs_and_gone_after(shim: ShimClient) -> None:
    pid = shim.start("c", "sleep", "60")
    assert cgroup.group(f"{shim.parent}/c").pids() == [pid]
    shim.signal("c", signal.SIGKILL)
    shim.exit_of("c")
    assert cgroup.children(shim.parent) == set()


def test_a_container_that_wants_too_much_memory_is_marked(shim: ShimClient) -> None:
    limit = {"memory": {"limit": 20 << 20, "swap": 20 << 20}}
    shim.start("c", "dd", "if=/dev/zero", "of=/dev/null", "bs=60M", "count=1", linux={"resources": limit})
    event = shim.exit_of("c")
    assert (event["status"], event["oom"]) == (137, True)


def test_what_the_first_process_leaves_behind_ends_with_it(shim: ShimClient) -> None:
    shim.start("c", "sh", "-c", "sleep 60 & sleep 60 & exit 0")
    assert shim.exit_of("c")["status"] == 0
    assert cgroup.children(shim.parent) == set()


def test_without_a_pid_namespace_the_rest_is_killed(shim: ShimClient) -> None:
    entries = [{"type": "mount"}, {"type": "network"}]
    shim.start("c", "sh", "-c", "sleep 60 & exit 4", linux={"namespaces": entries})
    assert shim.exit_of("c")["status"] == 4
    assert cgroup.children(shim.parent) == set()


# Refusals


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nope",), r'exec: "nope": executable file not found in \$PATH'),
        (("/nope",), 'exec: "/nope": stat /nope: no such file or directory'),
        (("/etc",), 'exec: "/etc": permission denied'),
        (("/etc/passwd",), 'exec: "/etc/passwd": permission denied'),
    ],
)
def test_a_program_that_cannot_be_run_is_named(shim: ShimClient, args: tuple[str], message: str) -> None:
    client = shim.attach("c")
    with pytest.raises(Refused, match=message) as refused:
        shim.start("c", *args)
    assert refused.value.kind == "refused"
    assert client.rest() == b""
    assert cgroup.children(shim.parent) == set()
    assert text(shim, "echo", "again") == "again\n"


@pytest.mark.parametrize(
    ("process", "message"),
    [
        ({"argosyUser": "ghost"}, "unable to find user ghost: no matching entries in passwd file"),
        ({"argosyGroups": ["ghosts"]}, "unable to find group ghosts"),
        ({"cwd": "/etc/passwd"}, "is not a directory"),
    ],
)
def test_what_the_user_can_mend_is_told_in_dockers_words(
    shim: ShimClient, process: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        shim.start("c", "true", process=process)


def test_a_container_is_not_started_twice(shim: ShimClient) -> None:
    shim.start("c", "sleep", "60")
    with pytest.raises(Refused, match="container c is already running"):
        shim.start("c", "sleep", "60")


def _fork_server(shim: ShimClient) -> int:
    shim_pid = shim.ask("hello")["pid"]
    children = Path(f"/proc/{shim_pid}/task/{shim_pid}/children").read_text().split()
    (found,) = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "argosy-fork\n"]
    return found


def test_a_fork_server_that_died_is_started_again(shim: ShimClient) -> None:
    before = _fork_server(shim)
    shim.start("before", "sleep", "1000")
    os.kill(before, signal.SIGKILL)
    # Dead, and not only about to be: a start that it still takes is one that fails.
    while "Z (zombie)" not in Path(f"/proc/{before}/status").read_text():
        continue
    shim.start("after", "sh", "-c", "exit 3")
    assert shim.exit_of("after")["status"] == 3
    assert _fork_server(shim) != before
    shim.signal("before", signal.SIGKILL)
    assert shim.exit_of("before")["status"] == 128 + signal.SIGKILL


def test_the_fork_server_is_where_the_shim_is_after_its_rehearsal(shim: ShimClient) -> None:
    shim.start("c", "true")
    shim.exit_of("c")
    fork_server = _fork_server(shim)
    for name in ("mnt", "net", "ipc", "uts", "cgroup", "pid", "pid_for_children"):
        assert os.readlink(f"/proc/{fork_server}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")
    assert os.readlink(f"/proc/{fork_server}/root") == os.readlink(f"/proc/{fork_server}/cwd") == "/"
    # Its end of the socket, its PID namespace, and the shim's stdio.
    assert len(os.listdir(f"/proc/{fork_server}/fd")) == 5
    assert "cold" not in shim.complaints()


def test_a_rehearsal_that_fails_comes_back(tmp_path: Path) -> None:
    before = {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
    script = (
        "import os, sys\n"
        "from argosy.runtime.rehearsal import rehearse\n"
        "try:\n    rehearse(sys.argv[1])\nexcept FileNotFoundError:\n    print('failed')\n"
        "for name in os.listdir('/proc/self/ns'):\n    print(name, os.readlink(f'/proc/self/ns/{name}'))\n"
        "print(len(os.listdir('/proc/self/fd')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "none")], capture_output=True, check=True, text=True
    )
    first, *names, descriptors = done.stdout.splitlines()
    assert first == "failed"
    assert dict(line.split() for line in names) == before
    assert int(descriptors) == 4


def test_a_plan_of_any_size_is_carried_out(shim: ShimClient) -> None:
    """More than a socket takes at once."""
    environment = [f"V{number}={'x' * 1000}" for number in range(1000)]
    process = {"env": [*environment, "PATH=/bin"]}
    assert text(shim, "sh", "-c", "env | grep -c ^V", process=process) == "1000\n"


def test_the_shim_does_not_grow_what_its_children_copy(shim: ShimClient) -> None:
    """Children are clones of the fork server, which knows nothing of what runs."""
    fork_server = _fork_server(shim)
    shim.start("first", "sleep", "1000")
    before = _private(fork_server)
    for number in range(20):
        shim.start(f"next{number}", "sleep", "1000")
    assert _private(fork_server) - before < 64
    for name in ("first", *(f"next{number}" for number in range(20))):
        shim.signal(name, signal.SIGKILL)
        shim.exit_of(name)


def _private(pid: int) -> int:
    """Anonymous memory in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def test_a_bundle_that_makes_no_sense_is_answered(shim: ShimClient) -> None:
    (shim.directory / "config.json").write_text("{")
    with pytest.raises(Refused):
        shim.ask("start", id="c", bundle=os.fspath(shim.directory))
    with pytest.raises(Refused, match="unknown operation dance"):
        shim.ask("dance")
    assert text(shim, "echo", "fine") == "fine\n"


def test_the_shim_does_not_end_while_something_runs(shim: ShimClient) -> None:
    shim.start("c", "sleep", "60")
    with pytest.raises(Refused, match="1 processes are running") as refused:
        shim.ask("shutdown")
    assert refused.value.kind == "refused"
    shim.signal("c", signal.SIGKILL)
    shim.exit_of("c", release=False)
    shim.ask("shutdown")
    assert shim._process.wait(5) == 0
    assert not (shim.directory / "shim.sock").exists()


# Output and input


def test_output_is_framed_by_stream(shim: ShimClient) -> None:
    assert output(shim, "sh", "-c", "echo out; echo err >&2") == {STDOUT: b"out\n", STDERR: b"err\n"}


def test_a_client_gets_the_streams_that_it_asked_for(shim: ShimClient) -> None:
    client = shim.attach("c", stdout=False)
    shim.start("c", "sh", "-c", "echo out; echo err >&2")
    assert client.streams() == {STDERR: b"err\n"}


def test_every_client_gets_all_of_it(shim: ShimClient) -> None:
    first, second = shim.attach("c"), shim.attach("c")
    shim.start("c", "sh", "-c", "dd if=/dev/zero bs=1000 count=300 2>/dev/null", open_stdin=True)
    assert first.streams() == second.streams() == {STDOUT: bytes(300_000)}


def test_a_client_may_attach_while_the_container_runs(shim: ShimClient) -> None:
    shim.start("c", "sh", "-c", "read line; echo got $line", open_stdin=True, stdin_once=True)
    client = shim.attach("c")
    client.send(b"this\n")
    assert client.streams() == {STDOUT: b"got this\n"}


def test_a_client_that_waits_for_a_container_that_never_comes_is_let_go(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.ask("forget", id="c")
    assert client.rest() == b""


def test_a_client_that_goes_before_the_container_comes_does_no_harm(shim: ShimClient) -> None:
    shim.attach("c").socket.close()
    assert text(shim, "echo", "hi") == "hi\n"


def test_the_end_of_input_reaches_the_process_and_output_goes_on(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "sh", "-c", "cat; sleep 0.05; echo end", open_stdin=True, stdin_once=True)
    client.send(b"to and fro\n")
    client.end_input()
    assert client.streams() == {STDOUT: b"to and fro\nend\n"}


def test_input_of_many_clients_can_follow_one_another(shim: ShimClient) -> None:
    shim.start("c", "sh", "-c", "read a; read b; echo $a $b", open_stdin=True)
    first = shim.attach("c")
    first.send(b"one\n")
    first.socket.close()
    second = shim.attach("c")
    second.send(b"two\n")
    assert second.streams() == {STDOUT: b"one two\n"}


def test_input_that_came_with_the_request_is_input(shim: ShimClient) -> None:
    client = shim.attach("c", initial=b"early ")
    shim.start("c", "cat", open_stdin=True, stdin_once=True)
    client.send(b"late")
    client.end_input()
    assert client.streams() == {STDOUT: b"early late"}


def test_any_amount_of_input_may_have_come_with_the_request(shim: ShimClient) -> None:
    client = shim.attach("c", initial=bytes(1 << 20))
    shim.start("c", "wc", "-c", open_stdin=True, stdin_once=True)
    client.end_input()
    assert client.streams() == {STDOUT: b"1048576\n"}


def test_a_lot_of_input_and_output_at_once_is_all_relayed(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "cat", open_stdin=True, stdin_once=True)
    data = os.urandom(1 << 16) * 64
    sender = os.fork()
    if sender == 0:
        client.send(data)
        client.end_input()
        os._exit(0)
    assert client.streams() == {STDOUT: data}
    os.waitpid(sender, 0)


def test_a_client_whose_input_nobody_read_sees_an_end_and_no_reset(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "sh", "-c", "sleep 0.1; echo done", open_stdin=True, stdin_once=True)
    client.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            client.socket.send(bytes(65536))
    client.socket.settimeout(10)
    assert client.streams() == {STDOUT: b"done\n"}


def test_without_open_stdin_there_is_nothing_to_read(shim: ShimClient) -> None:
    assert text(shim, "sh", "-c", "cat; echo end") == "end\n"


def test_a_slow_client_slows_the_process_down_and_loses_nothing(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "dd", "if=/dev/zero", "bs=65536", "count=200")
    time.sleep(0.2)
    assert cgroup.group(f"{shim.parent}/c").pids()
    assert len(client.streams()[STDOUT]) == 200 * 65536
    assert shim.exit_of("c")["status"] == 0


def test_a_slow_client_that_goes_lets_the_process_go_on(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "dd", "if=/dev/zero", "bs=65536", "count=200")
    time.sleep(0.1)
    client.socket.close()
    assert shim.exit_of("c")["status"] == 0


def test_keys_that_detach_are_data_where_there_is_no_terminal(shim: ShimClient) -> None:
    client = shim.attach("c", keys=DETACH)
    shim.start("c", "cat", open_stdin=True, stdin_once=True)
    client.send(b"a" + DETACH + b"b")
    client.end_input()
    assert client.streams() == {STDOUT: b"a" + DETACH + b"b"}


# Terminals


TERMINAL = {"terminal": True}


def test_a_terminal_is_raw_and_has_a_size(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "stty", "size", process={**TERMINAL, "consoleSize": {"height": 33, "width": 99}})
    assert client.rest() == b"33 99\r\n"


def test_a_terminal_echoes_and_passes_on_what_is_typed(shim: ShimClient) -> None:
    client = shim.attach("c")
    shim.start("c", "sh", "-c", "read x; echo [$x]", process=TERMINAL, open_stdin=True)
    client.send(b"typed\n")
    assert client.rest() == b"typed\r\n[typed]\r\n"


def test_a_terminal_can_be_resized(shim: ShimClient) -> None:
    client = shim.attach("c")
    program = "trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.02; done"
    shim.start("c", "sh", "-c", program, process=TERMINAL)
    client.until(b"up")
    shim.ask("resize", id="c", height=12, width=34)
    assert client.rest().strip() == b"12 34"


def test_the_detach_keys_end_the_client_and_not_the_container(shim: ShimClient) -> None:
    client = shim.attach("c", keys=DETACH)
    shim.start("c", "cat", process=TERMINAL, open_stdin=True)
    client.send(b"hi\n\x10no\n")
    client.until(b"no")
    client.send(b"x" + DETACH)
    client.rest()
    assert shim.attach("c").socket.fileno() >= 0
    assert cgroup.group(f"{shim.parent}/c").pids()


def test_the_terminal_is_the_console_and_belongs_to_the_user(shim: ShimClient) -> None:
    client = shim.attach("c")
    program = "test -t 0 && test -t 1 && test -c /dev/console && stat -c %u /dev/pts/0"
    shim.start("c", "sh", "-c", program, process={**TERMINAL, "argosyUser": "sailor"})
    assert client.rest() == b"1000\r\n"
    assert shim.exit_of("c")["status"] == 0


# The log


def test_the_log_has_what_was_written_with_or_without_a_client(shim: ShimClient, tmp_path: Path) -> None:
    log = {"directory": os.fspath(tmp_path), "max_size": 0, "max_files": 1}
    shim.start("c", "sh", "-c", "echo one; sleep 0.05; echo two >&2", log=log)
    shim.exit_of("c")
    assert shim.logged(tmp_path) == [(STDOUT, b"one\n"), (STDERR, b"two\n")]


def test_the_log_of_a_second_run_follows_that_of_the_first(shim: ShimClient, tmp_path: Path) -> None:
    log = {"directory": os.fspath(tmp_path), "max_size": 0, "max_files": 1}
    for number in ("1", "2"):
        shim.start("c", "echo", number, log=log)
        shim.exit_of("c")
    assert shim.logged(tmp_path) == [(STDOUT, b"1\n"), (STDOUT, b"2\n")]


def test_a_log_that_cannot_be_opened_is_an_error(shim: ShimClient, tmp_path: Path) -> None:
    log = {"directory": os.fspath(tmp_path / "missing"), "max_size": 0, "max_files": 1}
    with pytest.raises(Refused, match="No such file"):
        shim.start("c", "true", log=log)


# Further processes


def test_a_further_process_shares_the_containers_world(shim: ShimClient) -> None:
    first = shim.start("c", "sleep", "60")
    client = shim.attach("c", "e")
    shim.exec(
        "c", "e", "sh", "-c", "hostname 2>/dev/null; cat /proc/1/comm; readlink /proc/self/ns/net; exit 5"
    )
    lines = client.streams()[STDOUT].decode().split()
    assert lines[-2:] == ["sleep", os.readlink(f"/proc/{first}/ns/net")]
    assert shim.exit_of("c", "e")["status"] == 5
    assert cgroup.group(f"{shim.parent}/c").pids() == [first]


def test_a_further_process_reads_its_own_input(shim: ShimClient) -> None:
    shim.start("c", "sleep", "60")
    client = shim.attach("c", "e")
    shim.exec("c", "e", "cat")
    client.send(b"through")
    client.end_input()
    assert client.streams() == {STDOUT: b"through"}


def test_a_further_process_may_have_a_terminal(shim: ShimClient) -> None:
    shim.start("c", "sleep", "60")
    client = shim.attach("c", "e")
    shim.exec("c", "e", "stty", "size", terminal=True, consoleSize={"height": 5, "width": 7})
    assert client.rest() == b"5 7\r\n"


def test_a_further_process_joins_the_containers_group(shim: ShimClient) -> None:
    first = shim.start("c", "sleep", "60")
    second = shim.exec("c", "e", "sleep", "60")
    assert sorted(cgroup.group(f"{shim.parent}/c").pids()) == sorted([first, second])
    shim.signal("c", signal.SIGKILL, "e")
    assert shim.exit_of("c", "e")["status"] == 137


def test_further_processes_end_with_the_container(shim: ShimClient) -> None:
    shim.start("c", "sleep", "60")
    shim.exec("c", "e", "sleep", "60")
    shim.signal("c", signal.SIGKILL)
    assert shim.exit_of("c", "e")["status"] == 137
    assert shim.exit_of("c")["status"] == 137


def test_a_further_process_that_cannot_be_run_is_an_error_and_ends_its_client(shim: ShimClient) -> None:
    shim.start("c", "sleep", "60")
    client = shim.attach("c", "e")
    with pytest.raises(Refused, match="executable file not found"):
        shim.exec("c", "e", "nope")
    assert client.rest() == b""


def test_there_is_no_further_process_in_what_does_not_run(shim: ShimClient) -> None:
    client = shim.attach("c", "e")
    with pytest.raises(Refused) as refused:
        shim.exec("c", "e", "true")
    assert refused.value.kind == "missing"
    assert client.rest() == b""


# The container's world


def test_the_first_process_is_alone_in_its_namespaces(shim: ShimClient) -> None:
    pid = shim.start("c", "sleep", "60")
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")


@pytest.mark.parametrize(("kind", "file"), [("pid", "pid"), ("network", "net"), ("ipc", "ipc")])
def test_a_container_can_live_in_a_namespace_of_another(shim: ShimClient, kind: str, file: str) -> None:
    lender = shim.start("lender", "sleep", "60")
    entries: list[dict[str, str]] = [
        {"type": name} for name in ("mount", "pid", "network", "ipc", "uts", "cgroup") if name != kind
    ]
    entries.append({"type": kind, "path": f"/proc/{lender}/ns/{file}"})
    pid = shim.start("c", "sleep", "60", linux={"namespaces": entries})
    assert os.readlink(f"/proc/{pid}/ns/{file}") == os.readlink(f"/proc/{lender}/ns/{file}")
    assert shim.start("own", "sleep", "60") != pid
    shim.signal("c", signal.SIGKILL)
    assert shim.exit_of("c")["status"] == 137
    assert cgroup.group(f"{shim.parent}/lender").pids() == [lender]


def test_nothing_is_mounted_on_the_host(shim: ShimClient, rootfs: Path) -> None:
    shim.start("c", "sleep", "60")
    assert os.fspath(rootfs) not in Path("/proc/self/mountinfo").read_text()


def test_a_process_has_nothing_open_but_its_stdio(shim: ShimClient) -> None:
    assert text(shim, "sh", "-c", "ls /proc/1/fd; true").split() == ["0", "1", "2"]


def test_no_signal_is_ignored_or_blocked_from_the_start(shim: ShimClient) -> None:
    lines = text(shim, "grep", "-E", "Sig(Blk|Ign)", "/proc/self/status").split()
    assert lines[1::2] == ["0" * 16, "0" * 16]


def test_the_root_of_the_host_cannot_be_reached(shim: ShimClient) -> None:
    assert sorted(text(shim, "ls", "/").split()) == ["bin", "dev", "etc", "proc", "sys", "tmp"]
    assert text(shim, "ls", "/..") == text(shim, "ls", "/")


def test_the_usual_devices_are_there(shim: ShimClient) -> None:
    listed = text(shim, "ls", "/dev").split()
    assert set(listed) >= {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "fd",
        "stdin",
        "stdout",
    }


def test_a_user_keeps_no_capabilities_and_has_its_groups(shim: ShimClient) -> None:
    process = {"argosyUser": "sailor", "argosyGroups": ["77"]}
    expected = "uid=1000(sailor) gid=1000(sailor) groups=77,1000(sailor),2000(crew)\n"
    assert text(shim, "id", process=process) == expected


def test_capabilities_are_those_that_were_given(shim: ShimClient) -> None:
    lines = text(shim, "grep", "Cap", "/proc/self/status").split()
    given = f"{1 << 18:016x}"
    expected = {
        "CapInh:": "0" * 16,
        "CapPrm:": given,
        "CapEff:": given,
        "CapBnd:": given,
        "CapAmb:": "0" * 16,
    }
    assert dict(zip(lines[::2], lines[1::2], strict=True)) == expected


def test_no_new_privileges_is_set_on_request(shim: ShimClient) -> None:
    line = text(shim, "grep", "NoNewPrivs", "/proc/self/status", process={"noNewPrivileges": True})
    assert line.split() == ["NoNewPrivs:", "1"]


def test_masked_paths_are_empty_and_read_only_paths_are_read_only(shim: ShimClient) -> None:
    linux = {
        "maskedPaths": ["/proc/scsi", "/proc/keys", "/nowhere"],
        "readonlyPaths": ["/proc/sys", "/nowhere"],
    }
    program = "ls /proc/scsi; cat /proc/keys; echo 1 > /proc/sys/kernel/domainname || echo refused"
    assert text(shim, "sh", "-c", program, linux=linux) == "refused\n"


def test_a_read_only_root_takes_no_file_but_its_mounts_do(shim: ShimClient) -> None:
    program = "echo x > /tmp/f || echo refused; echo y > /dev/f && cat /dev/f"
    assert text(shim, "sh", "-c", program, root={"readonly": True}) == "refused\ny\n"


def test_a_working_directory_that_is_missing_is_made(shim: ShimClient) -> None:
    assert text(shim, "readlink", "/proc/self/cwd", process={"cwd": "/made/for/me"}) == "/made/for/me\n"


def test_limits_of_resources_are_set(shim: ShimClient) -> None:
    limits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    line = text(shim, "grep", "open files", "/proc/self/limits", process={"rlimits": limits})
    assert line.split()[3:5] == ["100", "200"]


def test_a_bind_mount_can_be_read_only(shim: ShimClient, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "f").write_text("seen\n")
    configured = shim.configuration("c")["mounts"]
    bind = {
        "destination": "/m",
        "type": "bind",
        "source": os.fspath(tmp_path / "shared"),
        "options": ["rbind", "ro"],
    }
    program = "cat /m/f; echo x > /m/g || echo refused"
    assert text(shim, "sh", "-c", program, mounts=[*configured, bind]) == "seen\nrefused\n"


def test_a_link_in_the_image_does_not_lead_a_mount_out_of_the_root(shim: ShimClient, rootfs: Path) -> None:
    outside = rootfs.parent / "outside"
    outside.mkdir()
    (rootfs / "trap").symlink_to(outside)
    configured = shim.configuration("c")["mounts"]
    mount = {"destination": "/trap/in", "type": "tmpfs", "source": "tmpfs", "options": []}
    assert text(shim, "sh", "-c", "echo ok", mounts=[*configured, mount]) == "ok\n"
    assert list(outside.iterdir()) == []


def test_a_file_can_be_mounted_where_the_image_has_a_dangling_link(
    shim: ShimClient, rootfs: Path, tmp_path: Path
) -> None:
    (rootfs / "etc" / "resolv.conf").symlink_to("../run/resolve/stub.conf")
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    configured = shim.configuration("c")["mounts"]
    mount = {
        "destination": "/etc/resolv.conf",
        "type": "bind",
        "source": os.fspath(tmp_path / "resolv.conf"),
        "options": ["rbind"],
    }
    found = text(shim, "cat", "/etc/resolv.conf", mounts=[*configured, mount])
    assert found == "nameserver 192.0.2.1\n"


def test_a_descriptor_handed_to_the_shim_is_not_kept_after_a_mistake(shim: ShimClient) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(5)
        with theirs, pytest.raises(Refused):
            shim.ask("dance", (theirs.fileno(),))
        assert ours.recv(1) == b""


def test_the_shims_socket_is_its_owners_alone(shim: ShimClient) -> None:
    assert stat.S_IMODE(os.stat(shim.directory / "shim.sock").st_mode) & 0o077 == 0


def test_a_message_that_is_too_long_is_refused_where_it_is_sent() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(OSError, match="[Mm]essage too long"):
        protocol.send(ours, {"text": "x" * (8 << 20)})
