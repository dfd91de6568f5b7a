"""From a container to its OCI config.json, with Docker's defaults. Pure."""

import os
import posixpath
from typing import Any

from argosy.engine import devices, mounts, stubs
from argosy.engine.container import Spec
from argosy.engine.security import security
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import HostConfig, Ulimit
from argosy.spec.oci_image import DEFAULT_PATH
from argosy.spec.oci_runtime import (
    Config,
    ConsoleSize,
    Endpoint,
    Mount,
    Namespace,
    Process,
    Rlimit,
    RootfsMount,
)

DEFAULT_SHM = 64 << 20
# The kernel's own order; index is the capability's number (capabilities(7)).
ALL_CAPABILITIES = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
        "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
        "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
        "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)
DEFAULT_CAPABILITIES = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
        "SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_CPU_PERIOD = 100_000
_INIT_TARGET = "/sbin/docker-init"


def capabilities(host: HostConfig) -> list[str]:
    """The set that --cap-add, --cap-drop and --privileged leave. Raises InvalidParameter."""
    if host.privileged:
        return list(ALL_CAPABILITIES)
    added = [_capability(name, "CapAdd") for name in host.cap_add or []]
    dropped = [_capability(name, "CapDrop") for name in host.cap_drop or []]
    base = ALL_CAPABILITIES if "ALL" in added else DEFAULT_CAPABILITIES
    # With ALL on both sides, what is added wins (moby `caps.TweakCapabilities`).
    nothing = "ALL" in dropped and "ALL" not in added
    kept = [] if nothing else [name for name in base if name not in dropped]
    return kept + [name for name in added if name != "ALL" and name not in kept]


def _capability(text: str, given: str) -> str:
    name = text.upper()
    if name == "ALL":
        return name
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in ALL_CAPABILITIES:
        raise InvalidParameter(f'invalid {given}: unknown capability: "{name}"')
    return name


def cgroup_path(spec: Spec, default_parent: str) -> str:
    """Below the root of the control groups, whatever the parent says (runc's `CleanPath`)."""
    parent = posixpath.normpath("/" + (spec.host.cgroup_parent or default_parent).strip("/"))
    return f"{parent.rstrip('/')}/{spec.id}"


def process(
    *,
    args: list[str],
    env: list[str],
    cwd: str,
    user: str,
    groups: list[str],
    terminal: bool,
    console_size: list[int] | None,
    caps: list[str],
    no_new_privileges: bool,
    rlimits: list[Rlimit],
    oom_score_adj: int = 0,
    apparmor: str = "",
) -> Process:
    document: Process = {
        "terminal": terminal,
        "args": args,
        "env": env,
        "cwd": cwd or "/",
        "capabilities": {
            "bounding": caps,
            "permitted": caps,
            "effective": caps,
            "inheritable": [],
            "ambient": [],
        },
        "noNewPrivileges": no_new_privileges,
        "argosyUser": user,
        "argosyGroups": groups,
        "rlimits": rlimits,
        "oomScoreAdj": oom_score_adj,
    }
    if apparmor:
        document["apparmorProfile"] = apparmor
    if terminal and console_size and any(console_size):
        size: ConsoleSize = {"height": console_size[0], "width": console_size[1]}
        document["consoleSize"] = size
    return document


def environment(spec_env: list[str], hostname: str, *, terminal: bool) -> list[str]:
    """Docker's own variables first, replaced by those of the container (moby `CreateDaemonEnvironment`)."""
    base = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}"]
    if terminal:
        base.append("TERM=xterm")
    merged: dict[str, str | None] = dict(item.partition("=")[::2] for item in base)
    for item in spec_env:
        name, equals, value = item.partition("=")
        merged[name] = value if equals else None
    return [f"{name}={value}" for name, value in merged.items() if value is not None]


def rlimits(ulimits: list[Ulimit]) -> list[Rlimit]:
    return [{"type": f"RLIMIT_{u.name.upper()}", "soft": u.soft, "hard": u.hard} for u in ulimits]


def config(
    spec: Spec,
    *,
    directory: str,
    rootfs: str,
    rootfs_mounts: list[RootfsMount],
    cgroup_parent: str,
    seccomp: str,
    endpoints: list[Endpoint],
    joined: dict[str, str],
    init: str = "",
    images: dict[str, list[RootfsMount]] | None = None,
    shm: str = "",
    apparmor: str = "",
) -> Config:
    """`joined` maps kinds of namespaces to the /proc paths of those that other containers lend; `images`
    maps places to what is mounted there one over the other; `shm` is a tmpfs that containers share;
    `apparmor` is a profile's name."""
    host, settings = spec.host, spec.config
    hostname = settings.hostname
    secured = security(host)
    new = [kind for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup") if kind not in joined]
    host_kinds = {
        "network": host.network_mode == "host",
        "pid": host.pid_mode == "host",
        "ipc": host.ipc_mode == "host",
        "uts": host.uts_mode == "host",
        "cgroup": host.cgroupns_mode == "host",
    }
    namespaces: list[Namespace] = [{"type": kind} for kind in new if not host_kinds.get(kind)]
    namespaces += [{"type": kind, "path": path} for kind, path in joined.items()]
    args = [spec.path, *spec.args]
    if init:
        args = [_INIT_TARGET, "--", *args]
    document: Config = {
        "ociVersion": "1.2.0",
        "process": process(
            args=args,
            env=environment(settings.env or [], hostname, terminal=settings.tty),
            cwd=settings.working_dir,
            user=settings.user,
            groups=host.group_add or [],
            terminal=settings.tty,
            console_size=host.console_size,
            caps=capabilities(host),
            no_new_privileges=secured.no_new_privileges,
            rlimits=rlimits(host.ulimits or []),
            oom_score_adj=host.oom_score_adj,
            apparmor=apparmor,
        ),
        "root": {"path": rootfs, "readonly": host.readonly_rootfs},
        "mounts": _mounts(
            spec,
            directory,
            init,
            images or {},
            shm,
            host_ipc=host_kinds["ipc"],
            writable_cgroups=host.privileged
            if secured.writable_cgroups is None
            else secured.writable_cgroups,
        ),
        "linux": {
            "namespaces": namespaces,
            "devices": devices.nodes(host),
            "cgroupsPath": cgroup_path(spec, cgroup_parent),
            "resources": resources(host),
            "sysctl": host.sysctls or {},
            "maskedPaths": [] if host.privileged else list(host.masked_paths or []),
            "readonlyPaths": [] if host.privileged else list(host.readonly_paths or []),
            "rootfsPropagation": "rslave" if _needs_slave(spec) else "rprivate",
        },
        "argosy": {
            "rootfs": rootfs_mounts,
            "endpoints": endpoints,
            "copyUp": spec.copy_up,
            "marks": stubs.MARKS,
        },
    }
    if not host_kinds["uts"]:
        document["hostname"] = hostname
        if settings.domainname:
            document["domainname"] = settings.domainname
    if seccomp:
        document["argosy"]["seccomp"] = seccomp
    return document


def _needs_slave(spec: Spec) -> bool:
    return any(point.propagation in ("slave", "rslave", "shared", "rshared") for point in spec.mounts)


def _mounts(
    spec: Spec,
    directory: str,
    init: str,
    images: dict[str, list[RootfsMount]],
    shared_memory: str,
    *,
    host_ipc: bool,
    writable_cgroups: bool,
) -> list[Mount]:
    host = spec.host
    writable = "rw" if host.privileged else "ro"
    strict = ["nosuid", "noexec", "nodev"]
    shm = host.shm_size or DEFAULT_SHM
    found: list[Mount] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": strict},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*strict, writable]},
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": [*strict, "rw" if writable_cgroups else "ro"],
        },
    ]
    if host_ipc:
        for name in ("mqueue", "shm"):
            if not os.path.isdir(f"/dev/{name}"):
                # Not every host has one mounted.
                continue
            found.append(
                {
                    "destination": f"/dev/{name}",
                    "type": "bind",
                    "source": f"/dev/{name}",
                    "options": ["rbind"],
                }
            )
    else:
        found.append({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": strict})
    if shared_memory:
        found.append(
            {"destination": "/dev/shm", "type": "bind", "source": shared_memory, "options": ["rbind"]}
        )
    elif not host_ipc and host.ipc_mode != "none":
        found.append(
            {
                "destination": "/dev/shm",
                "type": "tmpfs",
                "source": "shm",
                "options": [*strict, "mode=1777", f"size={shm}"],
            }
        )
    if spec.host.network_mode == "host" and not host.privileged:
        # sysfs shows the network namespace of who mounts it: the host's, read-only.
        found[3]["options"] = [*strict, "ro"]
    taken = {point.destination for point in spec.mounts}
    for name in ("resolv.conf", "hostname", "hosts"):
        if f"/etc/{name}" not in taken:
            source = os.path.join(directory, name)
            found.append(
                {"destination": f"/etc/{name}", "type": "bind", "source": source, "options": ["rbind"]}
            )
    user: list[Mount] = []
    for target, options in mounts.tmpfs_mounts(host).items():
        words = [word for word in options.split(",") if word]
        user.append(
            {
                "destination": target,
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "nodev", "noexec", *words],
            }
        )
    subpaths = mounts.subpaths(host) if host.mounts else {}
    recursion = mounts.recursion(host) if host.mounts else {}
    for point in spec.mounts:
        bind, readonly = recursion.get(point.destination, ("rbind", "ro"))
        words = [bind] + ([] if point.rw else [readonly])
        if point.propagation:
            words.append(point.propagation)
        entry: Mount = {
            "destination": point.destination,
            "type": "bind",
            "source": point.source,
            "options": words,
        }
        if point.destination in images:
            entry["type"], entry["argosyStack"] = "stack", images[point.destination]
        if point.destination in subpaths:
            entry["argosySubpath"] = subpaths[point.destination]
        user.append(entry)
    if init:
        user.append({"destination": _INIT_TARGET, "type": "bind", "source": init, "options": ["bind", "ro"]})
    shadowed = {mount["destination"] for mount in user}
    kept = [mount for mount in found if mount["destination"] not in shadowed]
    # What is deeper comes later, whoever asked for it: a volume on /dev does not cover /dev/pts.
    return sorted([*kept, *user], key=lambda mount: mount["destination"].count("/"))


def resources(host: HostConfig) -> dict[str, Any]:
    """The OCI `linux.resources` of a HostConfig."""
    memory: dict[str, Any] = {}
    if host.memory:
        memory["limit"] = host.memory
        memory["swap"] = host.memory_swap or host.memory * 2
    if host.memory_reservation:
        memory["reservation"] = host.memory_reservation
    if host.memory_swappiness is not None and host.memory_swappiness >= 0:
        memory["swappiness"] = host.memory_swappiness
    if host.oom_kill_disable:
        memory["disableOOMKiller"] = True
    cpu: dict[str, Any] = {}
    if host.nano_cpus:
        cpu["period"], cpu["quota"] = _CPU_PERIOD, host.nano_cpus * _CPU_PERIOD // 1_000_000_000
    if host.cpu_period:
        cpu["period"] = host.cpu_period
    if host.cpu_quota:
        cpu["quota"] = host.cpu_quota
    if host.cpu_shares:
        cpu["shares"] = host.cpu_shares
    if host.cpuset_cpus:
        cpu["cpus"] = host.cpuset_cpus
    if host.cpuset_mems:
        cpu["mems"] = host.cpuset_mems
    if host.cpu_realtime_period:
        cpu["realtimePeriod"] = host.cpu_realtime_period
    if host.cpu_realtime_runtime:
        cpu["realtimeRuntime"] = host.cpu_realtime_runtime
    found: dict[str, Any] = {"devices": devices.rules(host)}
    if memory:
        found["memory"] = memory
    if cpu:
        found["cpu"] = cpu
    if host.pids_limit and host.pids_limit > 0:
        found["pids"] = {"limit": host.pids_limit}
    block = _block_io(host)
    if block:
        found["blockIO"] = block
    return found


def _block_io(host: HostConfig) -> dict[str, Any]:
    block: dict[str, Any] = {"weight": host.blkio_weight} if host.blkio_weight else {}
    for name, wanted in (
        ("throttleReadBpsDevice", host.blkio_device_read_bps),
        ("throttleWriteBpsDevice", host.blkio_device_write_bps),
        ("throttleReadIOPSDevice", host.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", host.blkio_device_write_iops),
    ):
        if wanted:
            block[name] = [devices.throttle(item) for item in wanted]
    return block
