"""The Engine API's documents about containers: what clients send and what they are answered.

Null and absent mean the same on the way in. On the way out every field is written, as dockerd 28 does;
a field that it leaves out when empty defaults to UNSET.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

Strings = list[str] | None
Labels = dict[str, str] | None


class Healthcheck(msgspec.Struct, rename="pascal", omit_defaults=True):
    """Durations in nanoseconds."""

    test: Strings = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(msgspec.Struct, rename="pascal"):
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, dict[str, Any]] | None | UnsetType = UNSET
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: Strings = None
    # The API takes a single string for both, too.
    cmd: list[str] | str | None = None
    healthcheck: Healthcheck | None | UnsetType = UNSET
    args_escaped: bool | UnsetType = UNSET
    image: str = ""
    volumes: dict[str, dict[str, Any]] | None = None
    working_dir: str = ""
    entrypoint: list[str] | str | None = None
    network_disabled: bool | UnsetType = UNSET
    mac_address: str | UnsetType = UNSET
    on_build: Strings = None
    labels: Labels = None
    stop_signal: str | UnsetType = UNSET
    stop_timeout: int | None | UnsetType = UNSET
    shell: Strings | UnsetType = UNSET


class PortBinding(msgspec.Struct, rename="pascal"):
    host_ip: str = ""
    host_port: str = ""


PortMap = dict[str, list[PortBinding] | None]


class LogConfig(msgspec.Struct, rename="pascal"):
    type: str = ""
    config: Labels = None


class RestartPolicy(msgspec.Struct, rename="pascal"):
    name: str = ""
    maximum_retry_count: int = 0


class Ulimit(msgspec.Struct, rename="pascal"):
    name: str = ""
    hard: int = 0
    soft: int = 0


class DeviceMapping(msgspec.Struct, rename="pascal"):
    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class BindOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class DriverConfig(msgspec.Struct, rename="pascal", omit_defaults=True):
    name: str = ""
    options: Labels = None


class VolumeOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    no_copy: bool = False
    labels: Labels = None
    subpath: str = ""
    driver_config: DriverConfig | None = None


class ImageOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    subpath: str = ""


class TmpfsOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    """`size_bytes` in bytes; `mode` as an integer."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class MountSpec(msgspec.Struct, rename="pascal", omit_defaults=True):
    """`--mount`."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class HostConfig(msgspec.Struct, rename="pascal"):
    binds: Strings = None
    container_id_file: str = field(default="", name="ContainerIDFile")
    log_config: LogConfig = field(default_factory=LogConfig)
    network_mode: str = ""
    port_bindings: PortMap | None = None
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: Strings = None
    console_size: list[int] | None = None
    annotations: Labels | UnsetType = UNSET
    cap_add: Strings = None
    cap_drop: Strings = None
    cgroupns_mode: str = ""
    dns: Strings = None
    dns_options: Strings = None
    dns_search: Strings = None
    extra_hosts: Strings = None
    group_add: Strings = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: Strings = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: Strings = None
    storage_opt: Labels | UnsetType = UNSET
    tmpfs: Labels | UnsetType = UNSET
    uts_mode: str = field(default="", name="UTSMode")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: Labels | UnsetType = UNSET
    runtime: str | None = ""
    isolation: str = ""
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[dict[str, Any]] | None = None
    blkio_device_read_bps: list[dict[str, Any]] | None = None
    blkio_device_write_bps: list[dict[str, Any]] | None = None
    blkio_device_read_iops: list[dict[str, Any]] | None = field(default=None, name="BlkioDeviceReadIOps")
    blkio_device_write_iops: list[dict[str, Any]] | None = field(default=None, name="BlkioDeviceWriteIOps")
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: Strings = None
    device_requests: list[dict[str, Any]] | None = None
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = field(default=0, name="IOMaximumIOps")
    io_maximum_bandwidth: int = field(default=0, name="IOMaximumBandwidth")
    mounts: list[MountSpec] | None | UnsetType = UNSET
    masked_paths: Strings = None
    readonly_paths: Strings = None
    init: bool | None | UnsetType = UNSET


class UpdateRequest(msgspec.Struct, rename="pascal"):
    """`POST /containers/{id}/update`; what is zero or empty stays as it is."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    blkio_weight: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory_reservation: int = 0
    memory_swap: int = 0
    pids_limit: int | None = None
    restart_policy: RestartPolicy | None = None


class EndpointIpam(msgspec.Struct, omit_defaults=True):
    ipv4_address: str = field(default="", name="IPv4Address")
    ipv6_address: str = field(default="", name="IPv6Address")
    link_local_ips: Strings = field(default=None, name="LinkLocalIPs")


class EndpointSettings(msgspec.Struct, rename="pascal"):
    ipam_config: EndpointIpam | None = field(default=None, name="IPAMConfig")
    links: Strings = None
    aliases: Strings = None
    mac_address: str = ""
    driver_opts: Labels = None
    gw_priority: int = 0
    network_id: str = field(default="", name="NetworkID")
    endpoint_id: str = field(default="", name="EndpointID")
    gateway: str = ""
    ip_address: str = field(default="", name="IPAddress")
    ip_prefix_len: int = field(default=0, name="IPPrefixLen")
    ipv6_gateway: str = field(default="", name="IPv6Gateway")
    global_ipv6_address: str = field(default="", name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = field(default=0, name="GlobalIPv6PrefixLen")
    dns_names: Strings = field(default=None, name="DNSNames")


class NetworkingConfig(msgspec.Struct, rename="pascal"):
    endpoints_config: dict[str, EndpointSettings | None] | None = None


class CreateRequest(ContainerConfig, rename="pascal"):
    """`POST /containers/create`: a ContainerConfig with two more fields."""

    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None


class PathStat(msgspec.Struct, rename="camel"):
    """What is at a path in a container; `mode` is Go's. It travels in a header, as base64 of JSON."""

    name: str
    size: int
    mode: int
    mtime: str
    link_target: str = ""


class FilesystemChange(msgspec.Struct, rename="pascal"):
    path: str
    kind: int


class CreateResponse(msgspec.Struct, rename="pascal"):
    id: str
    warnings: list[str] = []


class Health(msgspec.Struct, rename="pascal"):
    status: str = "none"
    failing_streak: int = 0
    log: list[dict[str, Any]] = []


class HealthResult(msgspec.Struct, rename="pascal"):
    start: str
    end: str
    exit_code: int
    output: str


class HealthReport(msgspec.Struct, rename="pascal"):
    status: str
    failing_streak: int
    log: list[HealthResult]


class StateReport(msgspec.Struct, rename="pascal"):
    status: str
    running: bool
    paused: bool
    restarting: bool
    oom_killed: bool = field(name="OOMKilled")
    dead: bool
    pid: int
    exit_code: int
    error: str
    started_at: str
    finished_at: str
    health: HealthReport | UnsetType = UNSET


class MountPoint(msgspec.Struct, rename="pascal"):
    type: str
    source: str
    destination: str
    mode: str = ""
    rw: bool = field(default=True, name="RW")
    propagation: str = ""
    name: str | UnsetType = UNSET
    driver: str | UnsetType = UNSET


class Port(msgspec.Struct, rename="pascal"):
    ip: str | UnsetType = field(default=UNSET, name="IP")
    private_port: int = 0
    public_port: int | UnsetType = UNSET
    type: str = "tcp"


class SummaryNetworks(msgspec.Struct, rename="pascal"):
    networks: dict[str, EndpointSettings]


class ContainerSummary(msgspec.Struct, rename="pascal"):
    id: str
    names: list[str]
    image: str
    image_id: str = field(name="ImageID")
    command: str
    created: int
    ports: list[Port]
    labels: dict[str, str]
    state: str
    status: str
    host_config: dict[str, str]
    network_settings: SummaryNetworks
    mounts: list[MountPoint]
    size_rw: int | UnsetType = UNSET
    size_root_fs: int | UnsetType = field(default=UNSET, name="SizeRootFs")


class NetworkSettings(msgspec.Struct, rename="pascal"):
    bridge: str
    sandbox_id: str = field(name="SandboxID")
    sandbox_key: str
    ports: PortMap
    hairpin_mode: bool = False
    link_local_ipv6_address: str = field(default="", name="LinkLocalIPv6Address")
    link_local_ipv6_prefix_len: int = field(default=0, name="LinkLocalIPv6PrefixLen")
    secondary_ip_addresses: None = field(default=None, name="SecondaryIPAddresses")
    secondary_ipv6_addresses: None = field(default=None, name="SecondaryIPv6Addresses")
    endpoint_id: str = field(default="", name="EndpointID")
    gateway: str = ""
    global_ipv6_address: str = field(default="", name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = field(default=0, name="GlobalIPv6PrefixLen")
    ip_address: str = field(default="", name="IPAddress")
    ip_prefix_len: int = field(default=0, name="IPPrefixLen")
    ipv6_gateway: str = field(default="", name="IPv6Gateway")
    mac_address: str = ""
    networks: dict[str, EndpointSettings] = {}


class ContainerInspect(msgspec.Struct, rename="pascal"):
    id: str
    created: str
    path: str
    args: list[str]
    state: StateReport
    image: str
    resolv_conf_path: str
    hostname_path: str
    hosts_path: str
    log_path: str
    name: str
    restart_count: int
    driver: str
    platform: str
    mount_label: str
    process_label: str
    app_armor_profile: str
    exec_ids: list[str] | None = field(name="ExecIDs")
    host_config: HostConfig
    graph_driver: dict[str, Any]
    mounts: list[MountPoint]
    config: ContainerConfig
    network_settings: NetworkSettings
    size_rw: int | UnsetType = UNSET
    size_root_fs: int | UnsetType = field(default=UNSET, name="SizeRootFs")


class ExecConfig(msgspec.Struct, rename="pascal"):
    """`POST /containers/{id}/exec`."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] | None = None
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: Strings = None
    working_dir: str = ""
    cmd: Strings = None


class ExecStart(msgspec.Struct, rename="pascal"):
    detach: bool = False
    tty: bool = False
    console_size: list[int] | None = None


class ExecProcess(msgspec.Struct):
    tty: bool
    entrypoint: str
    arguments: list[str]
    privileged: bool | UnsetType = UNSET
    user: str | UnsetType = UNSET


class ExecInspect(msgspec.Struct, rename="pascal"):
    id: str = field(name="ID")
    running: bool
    exit_code: int | None
    process_config: ExecProcess
    open_stdin: bool
    open_stderr: bool
    open_stdout: bool
    can_remove: bool
    container_id: str = field(name="ContainerID")
    detach_keys: str
    pid: int
