"""Containers as the API shows them."""

import time

from msgspec import UNSET

from argosy.engine import stubs
from argosy.engine.container import Container, Health, State
from argosy.engine.core import Engine
from argosy.engine.health import UNHEALTHY
from argosy.engine.lifecycle import Status
from argosy.engine.networks import port_map
from argosy.errors import NotFound
from argosy.ids import short
from argosy.network.ports import parse_port
from argosy.runtime import logfile
from argosy.spec.docker_container import (
    ContainerInspect,
    ContainerSummary,
    HealthReport,
    HealthResult,
    HostConfig,
    MountPoint,
    NetworkSettings,
    Port,
    StateReport,
    SummaryNetworks,
)
from argosy.units import NANOSECONDS, rfc3339


def state(container: Container) -> StateReport:
    current = container.state
    return StateReport(
        status=str(current.status),
        running=current.status.is_running(),
        paused=current.status == Status.PAUSED,
        restarting=current.status == Status.RESTARTING,
        oom_killed=current.oom_killed,
        dead=False,
        pid=current.pid,
        exit_code=current.exit_code,
        error=current.error,
        started_at=rfc3339(current.started_at),
        finished_at=rfc3339(current.finished_at),
        health=_health(current) if current.health is not None else UNSET,
    )


def _health(current: State) -> HealthReport:
    """Docker calls unhealthy whatever is not running; the next check says what it is."""
    health = current.health or Health(UNHEALTHY)
    log = [HealthResult(rfc3339(c.start), rfc3339(c.end), c.exit_code, c.output) for c in health.log]
    status = health.status if current.status == Status.RUNNING else UNHEALTHY
    return HealthReport(status, health.failing_streak, log)


def inspect(engine: Engine, container: Container, *, size: bool = False) -> ContainerInspect:
    """`size` walks the file system: not for the event loop's thread."""
    spec = container.spec
    directory, bundle = engine.directory(container), engine.bundle(container)
    started = container.state.started_at > 0
    networks = engine.networks.endpoint_settings(container)
    bridge = networks.get(spec.host.network_mode)
    settings = NetworkSettings(
        bridge="",
        sandbox_id=container.id if container.status.is_alive() else "",
        sandbox_key=f"/proc/{container.state.pid}/ns/net" if container.state.pid else "",
        ports=port_map(container),
        networks=networks,
    )
    if bridge is not None:
        settings.endpoint_id = bridge.endpoint_id
        settings.gateway = bridge.gateway
        settings.ip_address = bridge.ip_address
        settings.ip_prefix_len = bridge.ip_prefix_len
        settings.mac_address = bridge.mac_address
    snapshotter = engine.images.snapshotter
    report = ContainerInspect(
        id=spec.id,
        created=rfc3339(spec.created),
        path=spec.path,
        args=spec.args,
        state=state(container),
        image=spec.image,
        resolv_conf_path=f"{bundle}/resolv.conf" if started else "",
        hostname_path=f"{bundle}/hostname" if started else "",
        hosts_path=f"{bundle}/hosts" if started else "",
        log_path=logfile.path_of(directory) if started and spec.host.log_config.type != "none" else "",
        name=f"/{spec.name}",
        restart_count=container.state.restarts,
        driver=snapshotter.driver,
        platform="linux",
        mount_label="",
        process_label="",
        app_armor_profile=engine.apparmor.applied(spec.host),
        exec_ids=[key for key, execution in container.execs.items() if execution.running] or None,
        host_config=spec.host,
        graph_driver={"Name": snapshotter.driver, "Data": snapshotter.describe(spec.id)},
        mounts=[*spec.mounts, *_tmpfs_points(spec.host)] if spec.host.mounts else spec.mounts,
        config=spec.config,
        network_settings=settings,
    )
    if size:
        report.size_rw = snapshotter.usage(spec.id, stubs.PATHS).size
        report.size_root_fs = report.size_rw + _image_size(engine, container)
    return report


def _tmpfs_points(host: HostConfig) -> list[MountPoint]:
    """Those of --mount; those of --tmpfs are no mount points to Docker."""
    mounts = host.mounts if isinstance(host.mounts, list) else []
    return [
        MountPoint("tmpfs", "", spec.target, rw=not spec.read_only) for spec in mounts if spec.type == "tmpfs"
    ]


def _image_size(engine: Engine, container: Container) -> int:
    try:
        return engine.images.resolve(container.spec.image).size
    except NotFound:
        return 0


def summary(engine: Engine, container: Container, *, size: bool = False) -> ContainerSummary:
    spec = container.spec
    report = ContainerSummary(
        id=spec.id,
        names=[f"/{spec.name}"],
        image=_image_name(engine, container),
        image_id=spec.image,
        command=container.command(),
        created=spec.created // NANOSECONDS,
        ports=_ports(container),
        labels=container.labels(),
        state=str(container.status),
        status=container.describe_status(time.time_ns()),
        host_config={"NetworkMode": spec.host.network_mode},
        network_settings=SummaryNetworks(engine.networks.endpoint_settings(container)),
        mounts=spec.mounts,
    )
    if size:
        report.size_rw = engine.images.snapshotter.usage(spec.id, stubs.PATHS).size
        report.size_root_fs = report.size_rw + _image_size(engine, container)
    return report


def _image_name(engine: Engine, container: Container) -> str:
    """What it was created by, or the image's ID once that name means another image."""
    name = container.spec.config.image
    try:
        current = engine.images.resolve(name).id
    except NotFound:
        current = ""
    return (
        name if current == container.spec.image or name.startswith("sha256:") else short(container.spec.image)
    )


def _ports(container: Container) -> list[Port]:
    found = []
    for key, bindings in port_map(container).items():
        number, protocol = parse_port(key)
        if bindings:
            found += [Port(b.host_ip, number, int(b.host_port), protocol) for b in bindings]
        else:
            found.append(Port(private_port=number, type=protocol))
    return found
