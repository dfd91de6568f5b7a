"""What `inspect` says about the same things, of a dockerd and of an engine of ours, field by field."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine_fixture import LocalEngine

if TYPE_CHECKING:
    from .conftest import Oracle

pytestmark = pytest.mark.oracle

# The form must be the same, the value cannot be: identifiers, moments, paths, addresses.
VALUES = """
Id Created CreatedAt Image Mountpoint ResolvConfPath HostnamePath HostsPath LogPath Driver GraphDriver.Name
State.Pid State.StartedAt State.FinishedAt State.Health.Log.*.Start State.Health.Log.*.End
Config.Hostname HostConfig.ShmSize HostConfig.Runtime Mounts.*.Source Mounts.*.Name
NetworkSettings.SandboxID NetworkSettings.SandboxKey NetworkSettings.EndpointID
NetworkSettings.MacAddress NetworkSettings.Gateway NetworkSettings.IPAddress
NetworkSettings.Networks.*.NetworkID NetworkSettings.Networks.*.EndpointID
NetworkSettings.Networks.*.MacAddress NetworkSettings.Networks.*.Gateway
NetworkSettings.Networks.*.IPAddress NetworkSettings.Networks.*.DNSNames.*
Containers.*.EndpointID RepoDigests.* Metadata.LastTagTime
""".split()

# Where Argosy differs, and why.
PERMITTED = {
    "GraphDriver.Data*": "says where layers are, which each driver does in its own way",
    "ExecIDs*": "a health check may be under way",
    "Size*": "what is on the disk, its metadata included",
    "NetworkSettings.Networks.none.EndpointID": "nothing is made for a container without a network",
    "HostConfig.CgroupnsMode": "private on cgroup v1, too, where Docker shows the host's groups",
    "HostConfig.MaskedPaths*": "follows the runtime's newer list",
    "HostConfig.ReadonlyPaths*": "follows the runtime's newer list",
}


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """One line for each place where the two documents differ in a way that nobody permitted."""
    if any(fnmatchcase(path, pattern) for pattern in PERMITTED):
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            place = f"{path}.{key}" if path else key
            if key not in ours:
                yield f"{place}: missing; Docker has {theirs[key]!r}"
            elif key not in theirs:
                yield f"{place}: Docker has no such field; ours is {ours[key]!r}"
            else:
                yield from differences(theirs[key], ours[key], place)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (left, right) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(left, right, f"{path}.{number}")
    elif any(fnmatchcase(path, pattern) for pattern in VALUES):
        if (type(theirs), bool(theirs)) != (type(ours), bool(ours)):
            yield f"{path}: {theirs!r} there, {ours!r} here"
    elif type(theirs) is not type(ours) or theirs != ours:
        yield f"{path}: {theirs!r} there, {ours!r} here"


def assert_alike(found: list[str], when: str = "") -> None:
    assert not found, "\n".join([when, *found])


class Pair:
    """Docker's client, once with a dockerd and once with an engine of ours."""

    def __init__(self, oracle: Oracle, engine: LocalEngine) -> None:
        self._oracle = oracle
        self._engine = engine

    def ok(self, *words: str) -> tuple[str, str]:
        theirs, ours = self._oracle.docker(*words), self._engine.docker(*words)
        assert (theirs.code, ours.code) == (0, 0), f"{words}: {theirs.stderr}{ours.stderr}"
        return theirs.stdout, ours.stdout

    def differences(self, *words: str) -> list[str]:
        theirs, ours = self.ok(*words)
        documents = [json.loads(text)[0] for text in (theirs, ours)]
        for document in documents:
            # Docker's are in the order of a Go map.
            (document.get("HostConfig", {}).get("Binds") or []).sort()
            (document.get("Config", {}).get("Env") or []).sort()
            document.get("Mounts", []).sort(key=lambda point: point["Destination"])
        return list(differences(*documents))


@pytest.fixture(scope="module")
def pair(
    oracle: Oracle, image: str, shared_engine: LocalEngine, tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    assert oracle.docker("save", "-o", str(archive), image).code == 0
    assert shared_engine.docker("load", "-i", str(archive)).code == 0
    return Pair(oracle, shared_engine)


CONTAINERS = """

--hostname box --domainname example.org --user 5:6 --workdir /tmp --env A=1 --env B= --label x=y --entrypoint echo
--tty --interactive --init --read-only --stop-signal INT --stop-timeout 3 --restart on-failure:3
--memory 64m --memory-swap 128m --memory-reservation 32m --memory-swappiness 5 --cpus 1.5 --cpu-shares 10
--cpu-period 50000 --cpu-quota 20000 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 10 --oom-score-adj 5
--ulimit nofile=10:20 --ulimit core=0 --shm-size 1m --sysctl kernel.shmmax=100 --oom-kill-disable
--cap-add NET_ADMIN --cap-drop CHOWN --group-add 5 --security-opt no-new-privileges --security-opt seccomp=unconfined
--privileged --pid host --ipc host --uts host --userns host --cgroupns host --cgroup-parent /oracle
--security-opt systempaths=unconfined --ipc shareable --annotation a=b
--device /dev/null:/dev/void:rw --device-cgroup-rule 'c*1:3*rwm' --device-read-bps /dev/vda:1m
--dns 1.1.1.1 --dns-search a.b --dns-option ndots:2 --add-host a:1.2.3.4 --expose 80 --publish-all
--publish 127.0.0.1:8080:80 --publish 53/udp --expose 100-101
--volume /anonymous --volume /srv:/b:ro --volume named:/n --tmpfs /t:size=1m --volume named2:/o:nocopy,ro
--mount type=bind,src=/srv,dst=/b --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700
--mount type=volume,src=named,dst=/n,volume-nocopy,volume-label=a=b --mount type=volume,dst=/v
--log-driver none
--log-driver json-file --log-opt max-size=1m --log-opt max-file=2
--log-driver local
--health-cmd true --health-interval 1s --health-timeout 2s --health-retries 3 --health-start-period 4s
--no-healthcheck
--rm
""".strip("\n").splitlines()


@pytest.mark.parametrize("options", CONTAINERS)
def test_a_container_is_described_alike(pair: Pair, options: str) -> None:
    words = [word.replace("*", " ") for word in options.replace("'", "").split()]
    name = "argosy-inspected"
    pair.ok("create", "--network", "none", "--name", name, *words, "argosy-oracle:1", "sleep", "1000")
    try:
        assert_alike(pair.differences("inspect", "--size", name))
    finally:
        pair.ok("rm", "-f", "-v", name)


def test_a_container_is_described_alike_through_its_life(pair: Pair) -> None:
    name = "argosy-inspected"
    # Checked once: one that the stop catches under way would count as failed, or not.
    times = "--health-interval 1h --health-start-period 1h --health-start-interval 100ms"
    check = ("--health-cmd", "echo checked", *times.split())
    pair.ok("run", "-d", "--network", "none", "--name", name, *check, "argosy-oracle:1", "sleep", "1000")
    try:
        for state, steps in (
            ("running", [["exec", name, "sleep", "0.5"]]),
            ("paused", [["pause", name]]),
            ("exited", [["unpause", name], ["stop", "-t", "0", name]]),
        ):
            for step in steps:
                pair.ok(*step)
            assert_alike(pair.differences("inspect", name), state)
    finally:
        pair.ok("rm", "-f", name)


def test_an_image_is_described_alike(pair: Pair) -> None:
    assert_alike(pair.differences("image", "inspect", "argosy-oracle:1"))


def test_an_image_with_everything_is_described_alike(
    oracle: Oracle, shared_engine: LocalEngine, pair: Pair, tmp_path: Path
) -> None:
    changes = (
        'CMD ["sh","-c","true"]', "ENV A=1 B=2", "EXPOSE 80/tcp 53/udp", "VOLUME /data", 'LABEL a=b c="d e"',
        "WORKDIR /w", "USER 7", 'ENTRYPOINT ["env"]', "STOPSIGNAL INT", "HEALTHCHECK --interval=2s CMD true",
        "ONBUILD RUN true",
    )  # fmt: skip
    empty = subprocess.run(["tar", "-cf", "-", "-T", "/dev/null"], capture_output=True, check=True).stdout
    options = [word for change in changes for word in ("-c", change)]
    made = oracle.docker("import", *options, "-m", "why", "-", "argosy-oracle:full", stdin=empty)
    assert made.code == 0, made.stderr
    archive = str(tmp_path / "image.tar")
    assert oracle.docker("save", "-o", archive, "argosy-oracle:full").code == 0
    assert shared_engine.docker("load", "-i", archive).code == 0
    try:
        assert_alike(pair.differences("image", "inspect", "argosy-oracle:full"))
        name = "argosy-inspected"
        pair.ok("create", "--network", "none", "--name", name, "argosy-oracle:full")
        found = pair.differences("inspect", name)
        pair.ok("rm", "-v", name)
        assert_alike(found)
    finally:
        pair.ok("rmi", "argosy-oracle:full")


@pytest.mark.parametrize(
    "options", ["", "--label a=b", "--opt type=tmpfs --opt device=tmpfs --opt o=size=1m"]
)
def test_a_volume_is_described_alike(pair: Pair, options: str) -> None:
    pair.ok("volume", "create", *options.split(), "argosy-inspected")
    try:
        assert_alike(pair.differences("volume", "inspect", "argosy-inspected"))
    finally:
        pair.ok("volume", "rm", "argosy-inspected")


@pytest.mark.parametrize("name", ["none", "host"])
def test_a_network_is_described_alike(pair: Pair, name: str) -> None:
    # Whose containers are in it at the time is another matter.
    found = pair.differences("network", "inspect", name)
    assert_alike([line for line in found if not line.startswith("Containers.")])


def test_what_containers_and_volumes_take_is_told_alike(pair: Pair) -> None:
    fill = "head -c 50000 /dev/zero > /f; ln /f /g; head -c 5000 /dev/zero > /v/x; ln /v/x /v/y; ln -s x /v/z"
    pair.ok("volume", "create", "argosy-counted-not")
    pair.ok("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "argosy-counted-tmpfs")
    pair.ok(
        "run", "--network", "none", "--name", "argosy-counted", "-v", "argosy-counted:/v",
        "argosy-oracle:1", "sh", "-c", fill,
    )  # fmt: skip
    try:
        told = []
        for text in pair.ok("system", "df", "-v", "--format", "json"):
            usage = json.loads(text)
            containers = {item["Names"]: (item["Size"], item["LocalVolumes"]) for item in usage["Containers"]}
            volumes = {item["Name"]: (item["Size"], item["Links"]) for item in usage["Volumes"]}
            told.append([{k: v for k, v in kind.items() if "counted" in k} for kind in (containers, volumes)])
        assert told[0] == told[1]
        assert told[1][0] == {"argosy-counted": ("50kB", "1")}
        assert told[1][1] == {"argosy-counted": ("5.001kB", "1"), "argosy-counted-not": ("0B", "0")}
        for text in pair.ok("volume", "prune", "-af", "--filter", "label!=kept"):
            assert "argosy-counted-not" in text and "tmpfs" not in text
    finally:
        pair.ok("rm", "argosy-counted")
        pair.ok("volume", "rm", "argosy-counted", "argosy-counted-tmpfs")
