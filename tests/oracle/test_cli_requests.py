"""`create` sends what Docker's client sends, and refuses in the same words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Oracle, RecordingEngine

pytestmark = pytest.mark.oracle

COMMAND_LINES = """
busybox
-it --name x -p 5000:80 -p 127.0.0.1:8080:80/udp -p [::1]:99:99 -p 7000-7002:80-82 -p 3000 busybox sh -c hi
-p 8000-8010:90 -e A=1 -e HOME -e NOPE_X -e A=2 -v /a:/b:ro -v vol:/v -v /anon -v ./rel:/y busybox
--tmpfs /t:size=1m --tmpfs /t2 -l a=b -l c -l a=2 busybox
--mount type=bind,src=/a,dst=/b,readonly --mount type=tmpfs,dst=/d,tmpfs-size=1m,tmpfs-mode=1777 busybox
--mount type=volume,dst=/c,volume-nocopy,volume-label=a=b,volume-driver=loc,volume-opt=x=y busybox
-m 64m --memory-swap -1 --memory-reservation 32m --cpus 1.5 -c 512 --cpuset-cpus 0 --pids-limit 10 busybox
--cap-add NET_ADMIN --cap-drop ALL --privileged --read-only --ulimit nofile=10:20 --ulimit core=0 busybox
--cap-add all --cap-add net_admin --cap-drop CAP_NET_ADMIN --cap-drop chown busybox
--oom-kill-disable --oom-score-adj 5 --init --shm-size 1m --security-opt no-new-privileges busybox
--sysctl net.core.somaxconn=5 --group-add 1 --device /dev/null --device /dev/zero:/dev/z:r busybox
--stop-signal TERM --stop-timeout 3 --init=false busybox
--network foo --network-alias al --ip 1.2.3.4 --mac-address 02:42:ac:11:00:02 --link a:b busybox
--network name=foo,alias=a,alias=b,ip=1.2.3.4,driver-opt=a=b --network bar busybox
--network host busybox
--network bridge --ip 1.2.3.4 busybox
--network container:abc busybox
--add-host a:1.2.3.4 --add-host b=::1 --add-host c:host-gateway --dns 1.1.1.1 --dns-search x busybox
--dns-option y --link c:d --volumes-from e:ro --expose 90 --expose 100-102/udp busybox
--health-cmd true --health-interval 5s --health-retries 3 --health-timeout 1m --health-start-period 1s busybox
--no-healthcheck --log-driver json-file --log-opt max-size=1m --restart on-failure:3 --runtime x busybox
--pid host --ipc private --uts host --userns host --cgroupns private --platform linux/amd64 busybox
-a stdin -a stdout -i busybox
--entrypoint "" -w /x -u 1:2 --rm -h hh --domainname d busybox c
--env-file {envfile} -e B=2 -e A=3 -e A=4 busybox
--device-write-bps /dev/sda:2kb --device-read-iops /dev/sda:3 --device-write-iops /dev/sda:4 busybox
--device-cgroup-rule 'c 1:3 rwm' --device-cgroup-rule 'a *:* r' --blkio-weight-device /dev/sda:0 busybox
--gpus 2 --gpus device=0,driver=x,capabilities=utility --device vendor.com/class=name busybox
--dns-search . --dns-search example.com. --link a --link-local-ip 169.254.1.1 --ip6 ::1 busybox
--kernel-memory 1m --memory-swappiness 5 --cpu-rt-period 1 --cpu-rt-runtime 2 --cpuset-mems 0 busybox
--cpu-period 1 --cpu-quota -1 --cgroup-parent /x --volume-driver local --isolation default -P busybox
--health-start-interval 1s --ipc shareable --pull "" --disable-content-trust busybox
--device-read-bps /dev/sda:1m --blkio-weight 10 --gpus all --storage-opt a=b --annotation a=b busybox
"""

REFUSED = """
-p bad:x busybox
-p 99999:1 busybox
-p 1-3:5-6 busybox
-p 80/foo busybox
-v /:/a:zz:b busybox
-v :/b busybox
--mount foo busybox
--mount type=bind,src=/a busybox
--mount dst=/b,nope=1 busybox
--memory 1z busybox
--cpus 1.x busybox
--ulimit bad=1 busybox
--ulimit nofile=5:3 busybox
--add-host x busybox
--dns zz busybox
--network-alias foo busybox
--network foo --network host busybox
--network foo=bar busybox
--security-opt foo busybox
--restart on-failure:x busybox
--rm --restart always busybox
--health-cmd x --no-healthcheck busybox
--pid zz busybox
--device /dev/null:/x:q busybox
--env-file /nope busybox
-e =x busybox
-l =x busybox
--attach foo busybox
--rm=x busybox
--cpu-count 1 busybox
--cpu-percent 2 --io-maxiops 3
--io-maxbandwidth 1z busybox
--device-cgroup-rule a busybox
--device-cgroup-rule 'c 1:3 rwx' busybox
--device-cgroup-rule '' busybox
--device-read-bps /dev/null:x busybox
--device-read-bps /dev/null busybox
--device-write-bps null:1 busybox
--device-read-iops /dev/null:1m busybox
--device-write-iops :1 busybox
--blkio-weight-device /dev/null:5 busybox
--blkio-weight-device /dev/null:x busybox
--device a:b:c:d busybox
--device '' busybox
--gpus x=y busybox
--gpus count=x busybox
--gpus '' busybox
--dns-search 'a b' busybox
--dns-search '' busybox
--link a:b:c busybox
--link '' busybox
--label 'a b=c' busybox
--memory -1 busybox
--shm-size -1 busybox
--memory-swap -2 busybox
--ulimit nofile=1:2:3 busybox
--expose '' busybox
--network name=foo,gw-priority=x busybox
--env-file / busybox
--label-file / busybox
--cidfile /nowhere/id busybox
--cidfile /etc/passwd busybox
--platform a/b/c/d busybox
--platform foo busybox
--pull foo busybox
--bad busybox
--name
BAD
"""


def meaningful(value: Any) -> Any:
    """Without what is empty: absent, null and empty mean the same to an engine."""
    if isinstance(value, dict):
        kept = {key: meaningful(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], "", 0, False, {})}
    if isinstance(value, list):
        return [meaningful(item) for item in value]
    return value


def created(recorder: RecordingEngine) -> list[tuple[str, Any, list[str]]]:
    found = []
    for line, body in recorder.requests:
        if "/containers/create" in line:
            document = json.loads(body)
            # Docker gives variables and binds in the order of a map, which is any.
            document["Env"] = sorted(document["Env"] or [])
            document["HostConfig"]["Binds"] = sorted(document["HostConfig"]["Binds"] or [])
            names = [*document["NetworkingConfig"]["EndpointsConfig"]]
            names += [*document["Volumes"], *(document.get("ExposedPorts") or ())]
            found.append((line, meaningful(document), sorted(names)))
    recorder.requests.clear()
    return found


@pytest.mark.parametrize("line", COMMAND_LINES.strip().splitlines())
def test_sends_the_same_request(line: str, oracle: Oracle, recorder: RecordingEngine, tmp_path: Path) -> None:
    variables = tmp_path / "variables"
    variables.write_text("A=1\n# none\n\nB= x y \nA=2\nHOME\nNOPE_X\n")
    words = ["create", *shlex.split(line.replace("{envfile}", str(variables)))]
    assert oracle.docker(*words, host=recorder.host).code == 0
    theirs = created(recorder)
    assert oracle.ours(*words, host=recorder.host).code == 0
    assert created(recorder) == theirs


@pytest.mark.parametrize("line", REFUSED.strip().splitlines())
def test_refuses_in_the_same_words(line: str, oracle: Oracle, recorder: RecordingEngine) -> None:
    words = ["create", *shlex.split(line)]
    theirs = oracle.docker(*words, host=recorder.host)
    ours = oracle.ours(*words, host=recorder.host)
    assert ours.code == theirs.code != 0
    assert ours.stderr.replace("argosy", "docker") == theirs.stderr
