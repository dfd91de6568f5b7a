"""Creating a container: what was asked for and the image, made one."""

import os
import secrets
import shutil
import time
from typing import Any

from msgspec import UNSET

from argosy.engine import asked, mounts, oci, restart
from argosy.engine.container import Container, Spec, State
from argosy.engine.core import Engine
from argosy.engine.names import random_name
from argosy.engine.networks import BRIDGE, HOST, NONE, wanted_ports
from argosy.errors import InvalidParameter, NotFound
from argosy.ids import NAME, SHORT_LENGTH, new_id
from argosy.image import ImageRecord
from argosy.runtime.operations import Refused, rlimit_number
from argosy.spec.docker_container import (
    ContainerConfig,
    CreateRequest,
    EndpointSettings,
    Healthcheck,
    HostConfig,
    LogConfig,
    MountPoint,
)
from argosy.units import parse_bytes

MINIMUM_MEMORY = 6 << 20
LOG_DRIVERS = ("json-file", "local", "none")
_NANOCPU = 1_000_000_000


async def create(
    engine: Engine, request: CreateRequest, name: str = "", platform: str = ""
) -> tuple[Container, list[str]]:
    """The container and what its user should be warned of. Raises NotFound, InvalidParameter, Conflict."""
    if name:
        name = name.removeprefix("/")
        if not NAME.match(name):
            raise InvalidParameter(
                f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
    identifier = new_id()
    image = engine.images.resolve(request.image)
    asked.check_platform(image, request.image, platform)
    host = request.host_config or HostConfig()
    config = merge(_config_of(request), image, identifier)
    argv = [*_words(config.entrypoint), *_words(config.cmd)]
    if not argv:
        raise InvalidParameter("no command specified")
    networks = _networks(request, host)
    asked.check(config, host, networks)
    warnings = normalise(host, config)
    _check_links(engine, host)
    wanted_ports(host, config.exposed_ports or {})
    oci.capabilities(host)
    oci.resources(host)
    if name:
        engine.containers.claim_name(name, identifier)
    else:
        name = _free_name(engine, identifier)
    planned: list[mounts.Planned] = []
    made: list[str] = []
    try:
        inherited = _borrowed_mounts(engine, host)
        planned = mounts.plan(config, host, list(image.config.volumes or {}), inherited)
        points: list[MountPoint] = []
        if planned:
            points, made = await engine.in_thread(_make_sources, engine, planned)
        spec = Spec(
            id=identifier,
            name=name,
            created=time.time_ns(),
            image=image.id,
            chain_id=image.chain_id or "",
            path=argv[0],
            args=argv[1:],
            config=config,
            host=host,
            networks=networks,
            mounts=points,
            copy_up=[item.point.destination for item in planned if item.copy_up],
            anonymous=made,
        )
        container = Container(spec, State())
        await engine.in_thread(_make_directories, engine, container)
        await engine.containers.insert(container, durable=not host.auto_remove)
    except BaseException:
        engine.containers.give_up_name(name, identifier)
        await engine.in_thread(_undo, engine, identifier, made)
        raise
    engine.container_event(container, "create")
    return container, warnings


def _free_name(engine: Engine, identifier: str) -> str:
    for attempt in range(64):
        name = random_name() + (str(secrets.randbelow(10 ** min(attempt, 6))) if attempt else "")
        if not engine.containers.has_name(name):
            engine.containers.claim_name(name, identifier)
            return name
    raise AssertionError("no free name in a space of millions")


def _make_directories(engine: Engine, container: Container) -> None:
    os.mkdir(engine.directory(container), 0o710)
    engine.images.snapshotter.prepare(container.id, container.spec.chain_id or None)


def _undo(engine: Engine, identifier: str, volumes: list[str]) -> None:
    engine.images.snapshotter.remove(identifier)
    shutil.rmtree(os.path.join(engine.settings.containers, identifier), ignore_errors=True)
    for volume in volumes:
        engine.volumes.remove(volume, lambda _: [])


def _make_sources(engine: Engine, planned: list[mounts.Planned]) -> tuple[list[MountPoint], list[str]]:
    """The mount points with their volumes made, and the names of the anonymous ones among these."""
    points: list[MountPoint] = []
    anonymous: list[str] = []
    for item in planned:
        point = item.point
        if item.volume is not None:
            volume, created = engine.volumes.create(item.volume, item.labels)
            point.name, point.source = volume.name, volume.path
            if created:
                engine.loop.call_soon_threadsafe(
                    engine.events.publish, "volume", "create", volume.name, {"driver": "local"}
                )
            if not item.volume:
                anonymous.append(volume.name)
        elif item.create_source:
            try:
                os.makedirs(point.source, exist_ok=True)
            except FileExistsError:
                pass
            except OSError as error:
                raise InvalidParameter(
                    f"error while creating mount source path '{point.source}': {error.strerror}"
                ) from None
        points.append(point)
    return points, anonymous


def _config_of(request: CreateRequest) -> ContainerConfig:
    return ContainerConfig(**{name: getattr(request, name) for name in ContainerConfig.__struct_fields__})


def _words(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def merge(config: ContainerConfig, image: ImageRecord, identifier: str) -> ContainerConfig:
    """What the user left open comes from the image (moby `container.Merge`)."""
    given = image.config
    config.hostname = config.hostname or identifier[:SHORT_LENGTH]
    config.user = config.user or given.user or ""
    config.working_dir = config.working_dir or given.working_dir or ""
    config.env = _merge_environment(given.env or [], config.env or [])
    config.labels = {**(given.labels or {}), **(config.labels or {})}
    exposed = {**(given.exposed_ports or {}), **(config.exposed_ports or {})}
    config.exposed_ports = exposed or UNSET
    if given.volumes:
        config.volumes = {**given.volumes, **(config.volumes or {})}
    entrypoint, command = config.entrypoint, config.cmd
    config.cmd = _words(command) or None
    if not _words(entrypoint):
        if not config.cmd:
            config.cmd = list(given.cmd) if given.cmd else None
        if entrypoint is None:
            config.entrypoint = list(given.entrypoint) if given.entrypoint else None
    else:
        config.entrypoint = _words(entrypoint)
    if config.entrypoint == [""]:
        config.entrypoint = None
    if not config.stop_signal and given.stop_signal:
        config.stop_signal = given.stop_signal
    if given.healthcheck is not None:
        check, own = given.healthcheck, config.healthcheck or Healthcheck()
        config.healthcheck = Healthcheck(
            own.test or list(check.test or []),
            own.interval or check.interval,
            own.timeout or check.timeout,
            own.start_period or check.start_period,
            own.start_interval or check.start_interval,
            own.retries or check.retries,
        )
    return config


def _merge_environment(image: list[str], user: list[str]) -> list[str]:
    names = {item.partition("=")[0] for item in user}
    return user + [item for item in image if item.partition("=")[0] not in names]


def normalise(host: HostConfig, config: ContainerConfig) -> list[str]:
    """Fill in Docker's defaults and check what cannot work. Returns warnings. Raises InvalidParameter."""
    warnings: list[str] = []
    if host.network_mode in ("", "default"):
        host.network_mode = BRIDGE
    host.ipc_mode = host.ipc_mode or "private"
    host.cgroupns_mode = host.cgroupns_mode or "private"
    host.restart_policy.name = host.restart_policy.name or "no"
    # Docker's default: clients read the log only of drivers that they know.
    host.log_config.type = host.log_config.type or "json-file"
    host.log_config.config = host.log_config.config or {}
    host.shm_size = host.shm_size or oci.DEFAULT_SHM
    host.runtime = host.runtime or "argosy"
    host.oom_kill_disable = bool(host.oom_kill_disable)
    host.port_bindings = host.port_bindings or {}
    host.console_size = host.console_size or [0, 0]
    for name in ("dns", "dns_options", "dns_search", "devices", "ulimits"):
        if getattr(host, name) is None:
            setattr(host, name, [])
    for name in (
        "weight_device",
        "device_read_bps",
        "device_write_bps",
        "device_read_iops",
        "device_write_iops",
    ):
        if getattr(host, f"blkio_{name}") is None:
            setattr(host, f"blkio_{name}", [])
    _default_paths(host)
    restart.check(host.restart_policy)
    if host.auto_remove and host.restart_policy.name != "no":
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")
    _check_limits(host, warnings)
    _check_modes(host)
    _check_logging(host.log_config)
    for port in host.port_bindings:
        config.exposed_ports = {**(config.exposed_ports or {}), port: {}}
    for item in host.extra_hosts or []:
        if ":" not in item:
            raise InvalidParameter(f'bad format for add-host: "{item}"')
    if host.port_bindings and host.network_mode == HOST:
        warnings.append("Published ports are discarded when using host network mode")
    return warnings


def _default_paths(host: HostConfig) -> None:
    if host.privileged:
        return
    unconfined = "systempaths=unconfined" in (host.security_opt or [])
    if host.masked_paths is None:
        host.masked_paths = [] if unconfined else list(oci.MASKED_PATHS)
    if host.readonly_paths is None:
        host.readonly_paths = [] if unconfined else list(oci.READONLY_PATHS)


def _check_limits(host: HostConfig, warnings: list[str]) -> None:
    if host.memory and host.memory < MINIMUM_MEMORY:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")
    if host.memory_swap > 0:
        if not host.memory:
            raise InvalidParameter(
                "You should always set the Memory limit when using Memoryswap limit, see usage"
            )
        if host.memory_swap < host.memory:
            raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if host.memory and host.memory_reservation > host.memory:
        raise InvalidParameter(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    cpus = os.cpu_count() or 1
    if host.nano_cpus < 0 or host.nano_cpus > cpus * _NANOCPU:
        raise InvalidParameter(
            f"range of CPUs is from 0.01 to {cpus:.2f}, as there are only {cpus} CPUs available"
        )
    if host.nano_cpus and (host.cpu_period or host.cpu_quota):
        raise InvalidParameter("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    for limit in host.ulimits or []:
        _check_ulimit_name(limit.name)
        if limit.soft > limit.hard >= 0:
            raise InvalidParameter(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
            )
    if host.oom_kill_disable and not host.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the "
            "system running out of resources."
        )


def _check_modes(host: HostConfig) -> None:
    for kind, value, allowed in (
        ("PID", host.pid_mode, ("", "host")),
        ("IPC", host.ipc_mode, ("private", "shareable", "host", "none")),
        ("UTS", host.uts_mode, ("", "host")),
        ("cgroup namespace", host.cgroupns_mode, ("private", "host")),
    ):
        if value not in allowed and not value.startswith("container:"):
            raise InvalidParameter(f"invalid {kind} mode: {value}")
    if host.userns_mode not in ("", "host"):
        raise InvalidParameter(f"invalid user namespace mode: {host.userns_mode}")


def _check_logging(log: LogConfig) -> None:
    if log.type not in LOG_DRIVERS:
        raise InvalidParameter(
            f'error looking up logging plugin {log.type}: plugin "{log.type}" not found',
            hint=f"Log drivers here are {', '.join(LOG_DRIVERS)}.",
        )
    log_limits(log)


def log_limits(log: LogConfig) -> tuple[int, int]:
    """(bytes for each file, files), 20 MB × 5 unless --log-opt says otherwise. Raises InvalidParameter."""
    options: dict[str, Any] = dict(log.config or {})
    try:
        size = parse_bytes(options.pop("max-size", "20m").replace("-1", "0"))
        files = int(options.pop("max-file", "5"))
    except ValueError as error:
        raise InvalidParameter(f"invalid log option: {error}") from None
    for known in ("compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"):
        options.pop(known, None)
    if options:
        raise InvalidParameter(f"unknown log opt '{sorted(options)[0]}' for {log.type} log driver")
    if files < 1:
        raise InvalidParameter("max-file cannot be less than 1")
    return size, files


def _networks(request: CreateRequest, host: HostConfig) -> dict[str, EndpointSettings]:
    given = (request.networking_config.endpoints_config if request.networking_config else None) or {}
    mode = BRIDGE if host.network_mode in ("", "default") else host.network_mode
    for name in given:
        if name not in ("default", mode):
            raise InvalidParameter(f"networks of one's own are not supported: {name}")
    if mode not in (BRIDGE, HOST, NONE):
        return {}
    own = given.get(mode) or given.get("default") or EndpointSettings()
    address = own.mac_address or request.mac_address or ""
    return {mode: EndpointSettings(mac_address=address, ipam_config=own.ipam_config)}


def _borrowed_mounts(engine: Engine, host: HostConfig) -> list[MountPoint]:
    """Those of --volumes-from; of two at one place the later counts. Raises NotFound, InvalidParameter."""
    found: dict[str, MountPoint] = {}
    for text in host.volumes_from or []:
        name, _, mode = text.partition(":")
        lender = engine.containers.find(name)
        found.update({point.destination: point for point in mounts.borrowed(lender.spec.mounts, mode, text)})
    return list(found.values())


def _check_links(engine: Engine, host: HostConfig) -> None:
    for link in host.links or []:
        name = link.partition(":")[0]
        try:
            engine.containers.find(name.removeprefix("/"))
        except NotFound as error:
            raise InvalidParameter(f"could not get container for {name}: {error.message}") from None


def _check_ulimit_name(name: str) -> None:
    try:
        rlimit_number(f"RLIMIT_{name.upper()}")
    except Refused as error:
        raise InvalidParameter(str(error)) from None
