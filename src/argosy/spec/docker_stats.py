"""What `GET /containers/{id}/stats` says of a container: the counters of its control groups and interfaces.

Times in nanoseconds, sizes in bytes. A field that dockerd leaves out when empty defaults to UNSET.
"""

import msgspec
from msgspec import UNSET, UnsetType, field

from argosy.units import rfc3339


class PidsStats(msgspec.Struct, omit_defaults=True):
    current: int = 0
    limit: int = 0


class BlkioEntry(msgspec.Struct):
    major: int
    minor: int
    op: str
    value: int


Entries = list[BlkioEntry] | None


class BlkioStats(msgspec.Struct):
    """Beyond the first two only kernels before 5.0 count."""

    io_service_bytes_recursive: Entries = None
    io_serviced_recursive: Entries = None
    io_queue_recursive: Entries = None
    io_service_time_recursive: Entries = None
    io_wait_time_recursive: Entries = None
    io_merged_recursive: Entries = None
    io_time_recursive: Entries = None
    sectors_recursive: Entries = None


class CPUUsage(msgspec.Struct):
    total_usage: int = 0
    percpu_usage: list[int] | UnsetType = UNSET
    usage_in_kernelmode: int = 0
    usage_in_usermode: int = 0


class Throttling(msgspec.Struct):
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class CPUStats(msgspec.Struct):
    cpu_usage: CPUUsage = field(default_factory=CPUUsage)
    system_cpu_usage: int | UnsetType = UNSET
    online_cpus: int | UnsetType = UNSET
    throttling_data: Throttling = field(default_factory=Throttling)


class MemoryStats(msgspec.Struct, omit_defaults=True):
    usage: int = 0
    max_usage: int = 0
    stats: dict[str, int] | UnsetType = UNSET
    failcnt: int = 0
    limit: int = 0


class NetworkStats(msgspec.Struct):
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class ContainerStats(msgspec.Struct):
    name: str
    id: str
    read: str = rfc3339(0)
    preread: str = rfc3339(0)
    pids_stats: PidsStats = field(default_factory=PidsStats)
    blkio_stats: BlkioStats = field(default_factory=BlkioStats)
    num_procs: int = 0
    storage_stats: dict[str, int] = {}
    cpu_stats: CPUStats = field(default_factory=CPUStats)
    precpu_stats: CPUStats = field(default_factory=CPUStats)
    memory_stats: MemoryStats = field(default_factory=MemoryStats)
    networks: dict[str, NetworkStats] | UnsetType = UNSET
