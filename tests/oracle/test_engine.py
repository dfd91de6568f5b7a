"""The same shell scripts, with Docker's command line, on a real dockerd and on our engine."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import base_images
import pytest

from engine_fixture import LocalEngine

# The oracle's dockerd has no bridge, so the scripts leave networks alone.
SCRIPTS = {
    "output and exit codes": """
        docker run --rm --network none busybox sh -c 'echo out; exit 3'; echo $?
        docker run --rm --network none busybox nothing-there; echo $?
        docker run --rm --network none busybox /etc/passwd; echo $?
        docker run --rm --network none -u nobody busybox id; echo $?
        docker run --rm --network none busybox sh -c 'kill -TERM $$; echo survived'; echo $?
        echo data | docker run --rm -i --network none busybox cat; echo $?
    """,
    "the life of a container": """
        docker create --name one --network none busybox sh -c 'echo hello; sleep 1000' >/dev/null
        docker ps -a --format '{{.Names}} {{.State}} {{.Image}} {{.Command}}'
        docker start one; docker ps --format '{{.Names}} {{.State}}'
        docker exec one sh -c 'echo inside; exit 9'; echo $?
        docker exec one nothing-there; echo $?
        docker exec -u nobdy one true; echo $?; docker exec -u 0:nogroups one true; echo $?
        docker exec -w relative one true >/dev/null 2>&1; echo $?
        docker exec -u nobody -w /tmp -e A=b one sh -c 'id -un; pwd; echo $A'
        docker logs one
        docker rm one; echo $?
        docker pause one; docker ps --format '{{.State}}'; docker exec one true; echo $?; docker unpause one
        docker stop -t 0 one; docker wait one; docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' one
        docker stop one; echo $?; docker kill one; echo $?
        docker rename one two; docker inspect -f '{{.Name}}' two; docker rename two two; echo $?
        docker rm two; docker ps -aq; docker rm two; echo $?
    """,
    "what the container is told": """
        docker run --rm --network none --hostname inner -e A=1 -w /made busybox sh -c 'hostname; pwd; env | sort'
        docker run --rm --network none busybox sh -c 'cat /proc/self/status' | grep -E '^(Cap|Seccomp|NoNewPrivs|Groups)'
        docker run --rm --network none --cap-drop ALL --cap-add KILL busybox grep CapEff /proc/self/status
        docker run --rm --network none --security-opt no-new-privileges busybox grep NoNew /proc/self/status
        for value in :t =1 =TRUE =false = =yes; do docker run --rm --network none --security-opt no-new-privileges$value busybox grep NoNew /proc/self/status 2>&1 | grep -v -e "^$" -e "for more information" -e --help -e "It takes true"; done
        for value in =unconfined :unconfined =builtin; do docker run --rm --network none --security-opt seccomp$value busybox grep Seccomp: /proc/self/status; done
        docker run -d --name held --network none --security-opt no-new-privileges busybox sleep 1000 >/dev/null
        docker exec --privileged held grep -E 'NoNew|Seccomp:' /proc/self/status; docker rm -f held
        for option in writable-cgroups=true writable-cgroups:1 writable-cgroups=false writable-cgroups=x writable-cgroups disable foo=bar label foo; do docker run --rm --network none --security-opt $option busybox sh -c 'mkdir /sys/fs/cgroup/pids/made && rmdir /sys/fs/cgroup/pids/made' 2>&1 | sed 's/^Error response from daemon/docker: &/; s/docker: docker:/docker:/' | grep -v -e '^$' -e 'for more information' -e '--help' -e 'It takes true'; done
        docker run --rm --network none --privileged --security-opt writable-cgroups=false busybox mkdir /sys/fs/cgroup/pids/made; echo $?
        docker run --rm --network none -u 1234:99 --group-add 7 busybox id
        docker run --rm --network none --ulimit nofile=123:124 busybox sh -c 'ulimit -n; ulimit -Hn'
        docker run --rm --network none busybox sh -c 'umask; ls -l /dev | grep -v console | awk "{print \\$1, \\$NF}"'
        docker run --rm --network none busybox sh -c 'ls -d /proc/kcore /proc/sys; cat /proc/keys | wc -c; ls /sys/firmware'
        docker run --rm --network none busybox awk '$2 !~ "^/(etc|sys/fs/cgroup|proc/)" {print $2, $3, $4}' /proc/mounts | sed 's/,.*//' | sort
        docker run --rm --network none busybox sh -c 'cat /etc/hostname | wc -c; head -2 /etc/hosts'
    """,
    "limits": """
        docker run --rm --network none -m 64m busybox cat /sys/fs/cgroup/memory/memory.limit_in_bytes
        docker run --rm --network none --pids-limit 44 busybox cat /sys/fs/cgroup/pids/pids.max
        docker run --rm --network none --cpus 0.25 busybox cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us
        docker run --name hungry --network none -m 16m busybox sh -c 'x=a; while true; do x=$x$x; done'; echo $?
        docker inspect -f '{{.State.OOMKilled}}' hungry; docker rm hungry
        docker run --rm --network none -m 1m busybox true; echo $?
        docker run --rm --network none --cpus 1000 busybox true; echo $?
    """,
    "creations that are refused": """
        create() { docker create --network none "$@" busybox 2>&1 | sed 's/^Log drivers here are.*//'; }
        create --annotation =b; create --ipc container:nobody; create --pid container:nobody
        create --log-opt max-buffer-size=1m; create --volumes-from :ro
        create -v /a:/b:nocopy; create -v vol:/b:rslave; create -v v:/b:ro,z; create --isolation process
        create --cap-add no; create --blkio-weight-device /dev/null:5; create --cpu-rt-period 1 --cpu-rt-runtime 2
    """,
    "what is kept of a creation": """
        show() { docker inspect -f "$1" made; docker rm made; }
        new() { docker create --name made --network none "$@" busybox >/dev/null; }
        new -m 64m; show '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}'
        new -m 64m --memory-swap -1; show '{{.HostConfig.MemorySwap}}'
        new --pids-limit -1; show '{{json .HostConfig.PidsLimit}}'
        new --pids-limit 7; show '{{json .HostConfig.PidsLimit}}'
        new -w /a/../b/; show '{{.Config.WorkingDir}}'
        new --device /dev/absent; docker start made; show '{{json .HostConfig.Devices}} {{.State.Status}}'
        new --device /etc; show '{{json .HostConfig.Devices}}'
        new --gpus 2; docker start made; show '{{json .HostConfig.DeviceRequests}}'
        new --gpus device=0,capabilities=utility; show '{{json .HostConfig.DeviceRequests}}'
        new --device-read-bps /dev/null:1m; show '{{len .HostConfig.BlkioDeviceReadBps}}'
    """,
    "volumes and mounts": """
        docker volume create data; docker volume create data; docker volume ls -q
        docker run --rm --network none -v data:/etc busybox sh -c 'touch /etc/made; ls /etc/passwd'
        docker run --rm --network none -v data:/d:ro busybox sh -c 'ls /d/made; touch /d/x; echo $?'
        docker run -d --name holder --network none -v data:/d busybox sleep 1000 >/dev/null
        docker volume rm data >/dev/null; echo $?
        docker inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}{{end}}' holder
        docker rm -f holder; docker volume rm data; docker volume inspect data; echo $?
        docker run --rm --network none --read-only --tmpfs /t busybox sh -c 'touch /x; touch /t/y; ls /t'
        docker run --rm --network none -v relative:path busybox true; echo $?
    """,
    "logs": """
        docker run --name talk --network none busybox sh -c 'for i in 1 2 3 4 5; do echo $i; done; sleep 0.2; echo e >&2; sleep 0.2; printf end'
        docker logs talk; echo; docker logs -n 2 talk 2>/dev/null; echo; docker logs --tail 0 talk
        docker logs --until 2001-01-01T00:00:00 talk
        docker logs -t talk 2>/dev/null | wc -l
        docker rm talk; docker logs talk; echo $?
    """,
    "images": """
        docker tag busybox other:1; docker images --format '{{.Repository}}:{{.Tag}}' | grep -v oracle | sort
        docker inspect -f '{{.Config.Cmd}} {{.Os}} {{.Architecture}}' other:1
        docker rmi other:1; docker rmi other:1; echo $?
        docker run --name user --network none busybox true; docker tag busybox third
        docker rmi third; docker rm user
        docker image inspect nowhere; echo $?
        docker tag busybox sha256:abc 2>&1; docker rmi sha256:abc; docker tag busybox A 2>&1; echo $?
        docker image prune -f --filter dangling=x --filter label=nothing; docker image prune -f --filter foo=x 2>&1
        docker save busybox | tar -t | grep -E '^(manifest.json|index.json|oci-layout|repositories)$' | sort
    """,
    "lists": """
        docker run -d --name aa --network none -l kind=x busybox sleep 1000 >/dev/null
        docker run --name bb --network none -l kind=y busybox sh -c 'exit 4'
        docker ps --format '{{.Names}}'; docker ps -a --format '{{.Names}}'
        docker ps -a --filter label=kind=y --format '{{.Names}} {{.Status}}' | sed 's/ About.*\\| [0-9L].* ago//'
        docker ps -a --filter exited=4 -q | wc -l; docker ps --filter status=exited --format '{{.Names}}'
        docker ps -a --filter name=aa --format '{{.Names}}'; docker ps -a --filter nonsense=1; echo $?
        docker ps -n 1 --format '{{.Names}}'; docker ps -a --filter ancestor=busybox --format '{{.Names}}'
        docker container prune -f --filter label=kind=y | grep -c .; docker ps -a --format '{{.Names}}'; docker rm -f aa
    """,
}
_HEXADECIMAL = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b")


@pytest.fixture(scope="module")
def ours(module_engine: LocalEngine) -> Iterator[LocalEngine]:
    yield module_engine
    module_engine.remove_all()


@pytest.fixture(scope="module")
def dockers_host(empty_oracle: str, cache: Path) -> str:
    archive = base_images.archive_of("busybox", cache)
    docker = shutil.which("docker")
    assert docker
    words = base_images.import_arguments("busybox", archive)
    subprocess.run([docker, "-H", empty_oracle, *words], check=True, capture_output=True)
    return empty_oracle


def _run(script: str, host: str, config: str) -> str:
    environment = {**os.environ, "DOCKER_HOST": host, "DOCKER_CONFIG": config, "LC_ALL": "C"}
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return _HEXADECIMAL.sub("ID", done.stdout)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_prints_the_same_on_docker_and_on_argosy(
    name: str, ours: LocalEngine, dockers_host: str, tmp_path: Path
) -> None:
    theirs = _run(SCRIPTS[name], dockers_host, os.fspath(tmp_path))
    assert _run(SCRIPTS[name], ours.host, os.fspath(tmp_path)) == theirs
