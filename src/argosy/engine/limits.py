"""Which limits of CPU, memory and block devices make sense on this host, in Docker's words."""

import os

from argosy.errors import InvalidParameter
from argosy.linux import cgroup
from argosy.runtime.operations import Refused, rlimit_number
from argosy.spec.docker_container import HostConfig, Ulimit

MINIMUM_MEMORY = 6 << 20
_NANOCPU = 1_000_000_000
# Of v2, the controller alone tells; its file is in no root group.
_WEIGHTS = {1: "/sys/fs/cgroup/blkio/blkio.weight", 2: "/sys/fs/cgroup/cgroup.controllers"}
_ONLINE_CPUS = "/sys/devices/system/cpu/online"
_ONLINE_NODES = "/sys/devices/system/node/online"


def check(host: HostConfig) -> list[str]:
    """Warnings. What the host cannot do and Docker only warns of is taken out. Raises InvalidParameter."""
    warnings: list[str] = []
    _check_memory(host, warnings)
    _check_cpu(host)
    if host.cpuset_cpus or host.cpuset_mems:
        _check_cpuset("cpus", "CPUs", host.cpuset_cpus, _ONLINE_CPUS)
        _check_cpuset("mems", "memory nodes", host.cpuset_mems, _ONLINE_NODES)
    if host.blkio_weight or host.blkio_weight_device:
        _check_weights(host, warnings)
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(
            f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]"
        )
    for limit in host.ulimits or []:
        _check_ulimit(limit)
    return warnings


def _check_memory(host: HostConfig, warnings: list[str]) -> None:
    if host.memory and host.memory < MINIMUM_MEMORY:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")
    if host.memory_swap > 0:
        if not host.memory:
            raise InvalidParameter(
                "You should always set the Memory limit when using Memoryswap limit, see usage"
            )
        if host.memory_swap < host.memory:
            raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    swappiness = host.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidParameter(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if host.memory_reservation and host.memory_reservation < MINIMUM_MEMORY:
        raise InvalidParameter("Minimum memory reservation allowed is 6MB")
    if host.memory and host.memory_reservation > host.memory:
        raise InvalidParameter(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    if host.oom_kill_disable and not host.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the "
            "system running out of resources."
        )


def _check_cpu(host: HostConfig) -> None:
    if host.nano_cpus:
        if host.cpu_period or host.cpu_quota:
            what = "Period" if host.cpu_period else "Quota"
            raise InvalidParameter(f"Conflicting options: Nano CPUs and CPU {what} cannot both be set")
        cpus = os.cpu_count() or 1
        if not 0 < host.nano_cpus <= cpus * _NANOCPU:
            raise InvalidParameter(
                f"range of CPUs is from 0.01 to {cpus:.2f}, as there are only {cpus} CPUs available"
            )
    if host.cpu_shares < 0:
        raise InvalidParameter(f"invalid CPU shares ({host.cpu_shares}): value must be a positive integer")
    if host.cpu_shares == 1:
        raise InvalidParameter("the minimum allowed cpu-shares is 2")
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise InvalidParameter(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < host.cpu_quota < 1000:
        raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if 0 < host.cpu_realtime_period < host.cpu_realtime_runtime:
        raise InvalidParameter("cpu real-time runtime cannot be higher than cpu real-time period")


def _check_cpuset(name: str, what: str, wanted: str, path: str) -> None:
    try:
        with open(path) as file:
            available = file.read().strip()
    except FileNotFoundError:
        # A kernel without NUMA has one node.
        available = "0"
    try:
        missing = parse_set(wanted) - parse_set(available)
    except ValueError as error:
        raise InvalidParameter(f"Invalid value {wanted} for cpuset {name}: {error}") from None
    if missing:
        raise InvalidParameter(
            f"Requested {what} are not available - requested {wanted}, available: {available}"
        )


def parse_set(text: str) -> set[int]:
    """`0-3,7` as the kernel writes lists of CPUs. Raises ValueError."""
    found: set[int] = set()
    for part in text.split(",") if text else []:
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise ValueError(f"invalid format: {text}")
        if int(last or first) > 8191:
            raise ValueError(f"value of out range, maximum is 8191: {text}")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _check_weights(host: HostConfig, warnings: list[str]) -> None:
    if not os.path.exists(_WEIGHTS[cgroup.version()]):
        if host.blkio_weight:
            host.blkio_weight = 0
            warnings.append(
                "Your kernel does not support Block I/O weight or the cgroup is not mounted. "
                "Weight discarded."
            )
        if host.blkio_weight_device:
            host.blkio_weight_device = []
            warnings.append(
                "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. "
                "Weight-device discarded."
            )
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise InvalidParameter("Range of blkio weight is from 10 to 1000")


def _check_ulimit(limit: Ulimit) -> None:
    try:
        rlimit_number(f"RLIMIT_{limit.name.upper()}")
    except Refused as error:
        raise InvalidParameter(str(error)) from None
    if limit.soft > limit.hard >= 0:
        raise InvalidParameter(
            f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
        )
