"""How much a container uses of the machine, read from its control groups and its interfaces."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator

import msgspec

from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.stop import cgroup_path
from argosy.linux import cgroup
from argosy.spec.docker_stats import (
    BlkioEntry,
    BlkioStats,
    ContainerStats,
    CPUStats,
    CPUUsage,
    MemoryStats,
    NetworkStats,
    PidsStats,
    Throttling,
)
from argosy.units import NANOSECONDS, rfc3339

_INTERVAL = 1.0
# Of /proc/stat (proc_stat(5)): user, nice, system, idle, iowait, irq, softirq.
_CPU_FIELDS = slice(1, 8)
# Of /proc/net/dev: bytes, packets, errors, drops, received and sent.
_RECEIVED, _SENT = slice(0, 4), slice(8, 12)


async def once(engine: Engine, container: Container, *, compared: bool) -> ContainerStats:
    """`compared`: with how the CPUs were used a second before. Of one that does not run, only names."""
    current = await _sample(engine, container)
    if not compared or not container.status.is_alive():
        return current
    await asyncio.sleep(_INTERVAL)
    return _after(current, await _sample(engine, container))


async def follow(engine: Engine, container: Container) -> AsyncGenerator[ContainerStats, None]:
    """One at once and one each second, until the container is removed."""
    previous = await _sample(engine, container)
    yield previous
    while engine.containers.get(container.id) is container:
        await asyncio.sleep(_INTERVAL)
        current = await _sample(engine, container)
        yield _after(previous, current)
        previous = current


def _after(previous: ContainerStats, current: ContainerStats) -> ContainerStats:
    return msgspec.structs.replace(current, preread=previous.read, precpu_stats=previous.cpu_stats)


async def _sample(engine: Engine, container: Container) -> ContainerStats:
    if not container.status.is_alive():
        return ContainerStats(f"/{container.name}", container.id)
    return await engine.in_thread(_read, engine, container)


def _read(engine: Engine, container: Container) -> ContainerStats:
    group = cgroup.group(cgroup_path(engine, container))
    counters = group.stats()
    system, cpus = _machine()
    cpu, memory, throttled = counters["cpu"], counters["memory"], counters["throttling"]
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    stats = ContainerStats(
        f"/{container.name}",
        container.id,
        read=rfc3339(time.time_ns()),
        pids_stats=PidsStats(**counters["pids"]),
        blkio_stats=_block_io(group),
        cpu_stats=CPUStats(
            CPUUsage(
                cpu["total"],
                [counters["percpu"][number] for number in counters["percpu"]] or msgspec.UNSET,
                cpu["system"],
                cpu["user"],
            ),
            system,
            cpus,
            Throttling(**throttled),
        ),
        memory_stats=MemoryStats(
            usage=memory["usage"],
            max_usage=memory["max_usage"],
            stats=counters["memory_stat"],
            failcnt=memory["failcnt"],
            # What is not limited is so by what the machine has.
            limit=min(memory["limit"] or total, total),
        ),
    )
    if container.state.attachment is not None:
        stats.networks = _interfaces(container.state.pid)
    return stats


def _block_io(group: cgroup.Group) -> BlkioStats:
    transferred, operations = group.block_io()
    return BlkioStats(
        *([BlkioEntry(*entry) for entry in entries] for entries in (transferred, operations)),
        *([] for _ in range(6)),
    )


def _machine() -> tuple[int, int]:
    """(nanoseconds that all CPUs have spent since the boot, how many there are)."""
    tick = NANOSECONDS // os.sysconf("SC_CLK_TCK")
    spent = cpus = 0
    with open("/proc/stat") as file:
        for line in file:
            words = line.split()
            if words[0] == "cpu":
                spent = sum(int(word) for word in words[_CPU_FIELDS]) * tick
            elif words[0].startswith("cpu"):
                cpus += 1
    return spent, cpus


def _interfaces(pid: int) -> dict[str, NetworkStats]:
    found = {}
    try:
        with open(f"/proc/{pid}/net/dev") as file:
            lines = file.read().splitlines()[2:]
    except OSError:
        # It has just ended.
        return {}
    for line in lines:
        name, _, numbers = line.partition(":")
        values = [int(word) for word in numbers.split()]
        if name.strip() != "lo":
            found[name.strip()] = NetworkStats(*values[_RECEIVED], *values[_SENT])
    return found
