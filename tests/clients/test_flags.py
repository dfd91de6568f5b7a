"""What options of `run` and `create` do in the container, beyond the common ones."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine_fixture import LocalEngine


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)


def health(engine: LocalEngine, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(engine.ok("inspect", "--format", "{{json .State.Health}}", name))
    return found


QUICK = ("--health-interval", "200ms", "--health-retries", "2", "--health-timeout", "1s")


def test_a_check_makes_a_container_healthy_and_its_failures_unhealthy(engine: LocalEngine) -> None:
    with subprocess.Popen(
        ["docker", "events", "--filter", "event=health_status", "--format", "{{.Action}}"],
        env=engine.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as events:
        command = ("run", "-d", "--name", "checked", "--health-cmd", "echo seen; test ! -e /tmp/bad", *QUICK)
        engine.ok(*command, "busybox", "sh", "-c", "mkdir -p /tmp; sleep 1000")
        assert health(engine, "checked")["Status"] == "starting"
        wait_for(lambda: health(engine, "checked")["Status"] == "healthy")
        assert engine.ok("ps", "--format", "{{.Status}}", "--filter", "health=healthy").endswith("(healthy)")
        assert health(engine, "checked")["Log"][0]["Output"] == "seen\n"  # type: ignore[index]
        engine.ok("exec", "checked", "touch", "/tmp/bad")
        wait_for(lambda: health(engine, "checked")["Status"] == "unhealthy")
        assert engine.ok("ps", "-q", "--filter", "health=healthy") == ""
        engine.ok("exec", "checked", "rm", "/tmp/bad")
        wait_for(lambda: health(engine, "checked")["FailingStreak"] == 0)
        assert events.stdout is not None
        told = [events.stdout.readline().strip() for _ in range(3)]
        events.kill()
    assert told == ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]


def test_a_check_that_hangs_is_ended(engine: LocalEngine) -> None:
    command = ("run", "-d", "--name", "hangs", "--health-cmd", "sleep 1000", *QUICK)
    engine.ok(*command, "busybox", "sleep", "1000")
    wait_for(lambda: health(engine, "hangs")["Status"] == "unhealthy")
    result = health(engine, "hangs")["Log"][-1]  # type: ignore[index]
    assert result["ExitCode"] == -1
    assert result["Output"] == "Health check exceeded timeout (1s)"
    running = engine.ok("exec", "hangs", "ps", "-o", "args")
    assert running.count("sleep 1000") <= 3


def test_checks_go_on_with_a_new_engine(own_engine: LocalEngine) -> None:
    command = ("run", "-d", "--name", "kept", "--health-cmd", "true", *QUICK)
    own_engine.ok(*command, "busybox", "sleep", "1000")
    wait_for(lambda: health(own_engine, "kept")["Status"] == "healthy")
    own_engine.kill()
    own_engine.start()
    assert health(own_engine, "kept")["Status"] == "healthy"
    before = len(health(own_engine, "kept")["Log"])  # type: ignore[arg-type]
    wait_for(lambda: health(own_engine, "kept")["Log"][-1]["Start"] > "" and before > 0)  # type: ignore[index]
    last = health(own_engine, "kept")["Log"][-1]["Start"]  # type: ignore[index]
    wait_for(lambda: health(own_engine, "kept")["Log"][-1]["Start"] != last)  # type: ignore[index]


def test_no_check_is_no_health(engine: LocalEngine) -> None:
    engine.ok("create", "--name", "none", "--no-healthcheck", "busybox", "true")
    assert engine.ok("inspect", "--format", "{{json .State}}", "none").count("Health") == 0


IN_THE_CONTAINER = {
    "mac address": (("--mac-address", "02:42:ac:11:00:99"), "cat /sys/class/net/eth0/address", "02:42:ac:11:00:99"),
    "no shared memory": (("--ipc", "none"), "ls /dev | grep -c shm", "0"),
    "system paths": (("--security-opt", "systempaths=unconfined"), "mount | grep -c ' /proc/'", "0"),
    "no IPv6 where the network has none": ((), "cd /proc/sys/net/ipv6/conf; cat eth0/disable_ipv6 lo/disable_ipv6", "1\n0"),
    "IPv6 on request": (("--sysctl", "net.ipv6.conf.eth0.disable_ipv6=0"), "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6", "0"),
    "groups": (("--group-add", "55", "--group-add", "66"), "id -G", "0 10 55 66"),
    "device rule": (("--device-cgroup-rule", "c 42:* rmw"), "grep -c '^c 42:' /sys/fs/cgroup/devices/devices.list", "1"),
}  # fmt: skip


@pytest.mark.parametrize("what", IN_THE_CONTAINER)
def test_an_option_does_in_the_container_what_it_says(engine: LocalEngine, what: str) -> None:
    options, script, expected = IN_THE_CONTAINER[what]
    answer = engine.argosy("run", "--rm", *options, "busybox", "sh", "-c", script)
    assert answer.stdout.strip() == expected or (what == "groups" and answer.stdout.strip() == "0 55 66")


def test_the_hosts_ipc_namespace_can_be_had(engine: LocalEngine) -> None:
    answer = engine.ok("run", "--rm", "--ipc", "host", "busybox", "readlink", "/proc/self/ns/ipc")
    done = subprocess.run(["readlink", "/proc/self/ns/ipc"], capture_output=True, text=True, check=True)
    assert answer == done.stdout.strip()


REFUSED: dict[tuple[str, ...], str] = {
    ("--gpus", "all"): 'could not select device driver "" with capabilities: [[gpu]]',
    ("--runtime", "nope"): "unknown or invalid runtime name: nope",
    ("--isolation", "hyperv"): "invalid isolation (hyperv): linux only supports 'default'",
    ("--stop-signal", "SIGFOO"): "invalid signal: SIGFOO",
    ("--storage-opt", "size=1G"): "--storage-opt is not supported",
    ("--security-opt", "foo=bar"): 'invalid --security-opt 2: "foo=bar"',
    ("--link", "nothing:x"): "could not get container for nothing: No such container: nothing",
    ("--ip", "172.17.0.99"): "user specified IP address is supported on user defined networks only",
    (
        "--ip6",
        "nowhere",
    ): "* invalid IPv6 address: nowhere\n* user specified IP address is supported only when",
    ("--link-local-ip", "x"): "invalid endpoint settings:\ninvalid link-local IP address: x",
    ("--device", "/dev/absent"): 'while adding custom device "/dev/absent": no such file or directory',
    ("--device-read-bps", "/dev/null:1mb"): "/dev/null is no block device",
}


@pytest.mark.parametrize("options", REFUSED)
def test_what_cannot_be_had_is_refused_in_dockers_words(
    engine: LocalEngine, options: tuple[str, ...]
) -> None:
    for run in (engine.argosy, engine.docker):
        answer = run("run", "--rm", *options, "busybox", "true")
        assert answer.code == (127 if "no such file" in REFUSED[options] else 125)
        assert REFUSED[options] in answer.stderr


def test_an_image_for_another_platform_is_none(engine: LocalEngine) -> None:
    answer = engine.argosy("run", "--rm", "--pull", "never", "--platform", "linux/arm64", "busybox", "true")
    assert answer.code == 125
    assert "does not match the specified platform (linux/arm64)" in answer.stderr
    assert engine.ok("run", "--rm", "--platform", "linux/amd64", "busybox", "echo", "ours") == "ours"


def test_a_linked_container_is_found_by_its_names(engine: LocalEngine) -> None:
    engine.ok("run", "-d", "--name", "lender", "busybox", "sleep", "1000")
    address = engine.ok("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "lender")
    for name in ("db", "lender"):
        script = f"ping -c 1 -W 5 {name} | head -1"
        shown = engine.ok("run", "--rm", "--link", "lender:db", "busybox", "sh", "-c", script)
        assert f"({address})" in shown
    engine.ok("stop", "-t", "0", "lender")
    answer = engine.argosy("run", "--rm", "--link", "lender:db", "busybox", "true")
    assert answer.code == 125
    assert "Cannot link to a non running container: /lender AS /" in answer.stderr


def test_the_volumes_of_another_are_shared(engine: LocalEngine) -> None:
    engine.ok("run", "--name", "first", "-v", "/data", "busybox", "sh", "-c", "echo kept > /data/file")
    assert engine.ok("run", "--rm", "--volumes-from", "first", "busybox", "cat", "/data/file") == "kept"
    answer = engine.argosy("run", "--rm", "--volumes-from", "first:ro", "busybox", "touch", "/data/x")
    assert "Read-only file system" in answer.stderr
    assert (
        "No such container: nobody" in engine.argosy("create", "--volumes-from", "nobody", "busybox").stderr
    )


SUBPATHS = {
    "volume": ("type=volume,src=parts,dst=/here,volume-subpath=inner/file", "cat /here", "kept"),
    "image": ("type=image,src=busybox,dst=/here", "ls /here/bin/busybox", "/here/bin/busybox"),
    "part of an image": ("type=image,src=busybox,dst=/here,image-subpath=bin", "ls /here/busybox", "/here/busybox"),
}  # fmt: skip


@pytest.mark.parametrize("what", SUBPATHS)
def test_a_part_of_something_can_be_mounted(engine: LocalEngine, what: str) -> None:
    mount, script, expected = SUBPATHS[what]
    write = "mkdir -p /v/inner; echo kept > /v/inner/file"
    engine.ok("run", "--rm", "-v", "parts:/v", "busybox", "sh", "-c", write)
    assert engine.ok("run", "--rm", "--mount", mount, "busybox", "sh", "-c", script) == expected


def test_a_subpath_does_not_lead_out_of_its_volume(engine: LocalEngine) -> None:
    engine.ok("run", "--rm", "-v", "parts:/v", "busybox", "ln", "-sf", "/etc/passwd", "/v/trap")
    for subpath, problem in (("trap", "cannot access path"), ("../..", "must be a relative path within")):
        mount = f"type=volume,src=parts,dst=/here,volume-subpath={subpath}"
        answer = engine.argosy("run", "--rm", "--mount", mount, "busybox", "true")
        assert problem in answer.stderr


def test_an_image_that_is_mounted_is_read_only_and_in_use(own_engine: LocalEngine) -> None:
    engine = own_engine
    engine.import_base("alpine")
    mount = ("--mount", "type=image,src=alpine,dst=/other")
    engine.ok("run", "-d", "--name", "looks", *mount, "busybox", "sleep", "1000")
    assert engine.argosy("exec", "looks", "touch", "/other/x").code == 1
    assert "is using its referenced image" in engine.argosy("rmi", "alpine").stderr
    engine.kill()
    engine.start()
    assert engine.ok("exec", "looks", "ls", "/other/etc/alpine-release") == "/other/etc/alpine-release"
    engine.ok("restart", "-t", "0", "looks")
    assert engine.ok("exec", "looks", "ls", "/other/etc/alpine-release") == "/other/etc/alpine-release"
    engine.ok("rm", "-f", "looks")
    engine.ok("rmi", "alpine")
    engine.assert_clean()


def test_a_volume_may_be_a_mount_that_lasts_as_long_as_it_is_used(engine: LocalEngine) -> None:
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=5")
    engine.ok("volume", "create", *options, "memory")
    engine.ok(
        "run", "-d", "--name", "first", "-v", "memory:/m", "busybox", "sh", "-c", "echo x > /m/f; sleep 1000"
    )
    assert engine.ok("run", "--rm", "-v", "memory:/m", "busybox", "cat", "/m/f") == "x"
    assert "volume is in use" in engine.argosy("volume", "rm", "memory").stderr
    engine.ok("rm", "-f", "first")
    assert engine.ok("run", "--rm", "-v", "memory:/m", "busybox", "ls", "/m") == ""
    engine.ok("volume", "rm", "memory")


def test_a_volume_over_a_directory_leaves_it_alone_when_it_goes(engine: LocalEngine) -> None:
    precious = engine.directory / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    engine.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={precious}", "over")
    assert engine.ok("run", "--rm", "-v", "over:/o", "busybox", "cat", "/o/file") == "kept"
    engine.ok("volume", "rm", "over")
    assert (precious / "file").read_text() == "kept"


def test_shared_memory_is_lent(engine: LocalEngine) -> None:
    engine.ok(
        "run",
        "-d",
        "--name",
        "lends",
        "--ipc",
        "shareable",
        "busybox",
        "sh",
        "-c",
        "echo x > /dev/shm/f; sleep 1000",
    )
    assert engine.ok("run", "--rm", "--ipc", "container:lends", "busybox", "cat", "/dev/shm/f") == "x"
    engine.ok("run", "-d", "--name", "keeps", "busybox", "sleep", "1000")
    answer = engine.argosy("run", "--rm", "--ipc", "container:keeps", "busybox", "true")
    assert "non-shareable IPC" in answer.stderr


def test_limits_are_changed_while_it_runs(engine: LocalEngine) -> None:
    engine.ok("run", "-d", "--name", "limited", "-m", "32m", "busybox", "sleep", "1000")
    engine.ok("update", "-m", "64m", "--memory-swap", "128m", "--pids-limit", "20", "limited")
    shown = engine.ok("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}", "limited")
    assert shown == f"{64 << 20} 20"
    assert engine.ok("exec", "limited", "cat", "/sys/fs/cgroup/pids/pids.max") == "20"
    assert "Minimum memory limit allowed is 6MB" in engine.argosy("update", "-m", "1m", "limited").stderr


def test_the_engines_socket_can_be_lent(engine: LocalEngine) -> None:
    shown = engine.ok("run", "--rm", "--use-api-socket", "busybox", "ls", "/var/run/docker.sock")
    assert shown == "/var/run/docker.sock"


def test_a_privileged_container_has_the_seccomp_policy_that_it_is_given(
    engine: LocalEngine, tmp_path: Path
) -> None:
    refusing = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refusing]}))
    mode = ["busybox", "grep", "Seccomp:", "/proc/self/status"]
    assert engine.ok("run", "--rm", "--privileged", *mode).split()[1] == "0"
    builtin = ["--privileged", "--security-opt", "seccomp=builtin"]
    assert engine.ok("run", "--rm", *builtin, *mode).split()[1] == "2"
    own = ["--privileged", "--security-opt", f"seccomp={profile}"]
    refused = engine.argosy("run", "--rm", *own, "busybox", "mkdir", "/x")
    assert refused.code == 1 and "Function not implemented" in refused.stderr
    container = engine.ok("run", "-d", *own, "busybox", "sleep", "1000")
    for words in (("exec", container), ("exec", "--privileged", container)):
        assert "Function not implemented" in engine.argosy(*words, "mkdir", "/x").stderr


def test_confinement_that_this_host_cannot_give_is_refused(engine: LocalEngine) -> None:
    answer = engine.argosy("run", "--rm", "--security-opt", "apparmor=no-such-profile", "busybox", "true")
    assert answer.code == 125 and "apparmor profile" in answer.stderr and "no-such-profile" in answer.stderr
    engine.ok("run", "--rm", "--security-opt", "apparmor=unconfined", "busybox", "true")
