"""Creating a container: what was asked for and the image, made one."""

import os
import posixpath
import secrets
import shutil
import time

from msgspec import UNSET

from argosy.engine import asked, devices, limits, log_options, mounts, oci, restart, sources
from argosy.engine.container import Container, ImageMount, Spec, State
from argosy.engine.core import Engine
from argosy.engine.names import random_name
from argosy.engine.networks import BRIDGE, HOST, NONE, wanted_ports
from argosy.errors import InvalidParameter, NotFound
from argosy.ids import NAME, SHORT_LENGTH, new_id
from argosy.image import ImageRecord
from argosy.spec.docker_container import (
    ContainerConfig,
    CreateRequest,
    EndpointSettings,
    Healthcheck,
    HostConfig,
    MountPoint,
)


async def create(
    engine: Engine, request: CreateRequest, name: str = "", platform: str = ""
) -> tuple[Container, list[str]]:
    """The container and what its user should be warned of. Raises NotFound, InvalidParameter, Conflict."""
    if name:
        given, name = name, name.removeprefix("/")
        if not NAME.match(name):
            raise InvalidParameter(
                f"Invalid container name ({given}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
    identifier = new_id()
    image = engine.images.resolve(request.image)
    asked.check_platform(image, request.image, platform)
    host = request.host_config or HostConfig()
    asked.check_given(request, host)
    config = merge(_config_of(request), image, identifier)
    argv = [*_words(config.entrypoint), *_words(config.cmd)]
    if not argv:
        raise InvalidParameter("no command specified")
    networks = _networks(request, host)
    asked.check(config, host, networks)
    engine.apparmor.profile(host)
    warnings = normalise(host, config)
    _check_links(engine, host)
    _check_joined(engine, host)
    wanted_ports(host, config.exposed_ports or {})
    oci.capabilities(host)
    devices.check_rules(host)
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
            points, made = await engine.in_thread(sources.make, engine, planned)
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
            images=_mounted_images(engine, identifier, planned) if planned else [],
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
    os.mkdir(engine.directory(container), 0o700)
    engine.images.snapshotter.prepare(container.id, container.spec.chain_id or None)
    if container.spec.chain_id:
        engine.images.snapshotter.compact(container.spec.chain_id)
    for image in container.spec.images:
        engine.images.snapshotter.view(image.key, image.chain_id or None)


def _mounted_images(engine: Engine, identifier: str, planned: list[mounts.Planned]) -> list[ImageMount]:
    """Those of --mount type=image. Raises InvalidParameter."""
    found: list[ImageMount] = []
    for item in planned:
        if item.image:
            try:
                image = engine.images.resolve(item.image)
            except NotFound as error:
                # 404 would mean the container's own image to clients, which pull that.
                raise InvalidParameter(error.message, hint=f"Pull it first: {item.image}") from None
            item.point.source = image.id
            key = f"{identifier}-image{len(found)}"
            found.append(ImageMount(item.point.destination, key, image.id, image.chain_id or ""))
    return found


def _undo(engine: Engine, identifier: str, volumes: list[str]) -> None:
    for info in [*engine.images.snapshotter.walk()]:
        if not info.committed and info.id.startswith(identifier):
            engine.images.snapshotter.remove(info.id)
    shutil.rmtree(os.path.join(engine.settings.containers, identifier), ignore_errors=True)
    for volume in volumes:
        engine.volumes.remove(volume, lambda _: [])


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
    if config.working_dir.startswith("/"):
        config.working_dir = posixpath.normpath("/" + config.working_dir.lstrip("/"))
    config.env = _merge_environment(given.env or [], config.env or []) or None
    config.labels = {**(given.labels or {}), **(config.labels or {})}
    exposed = {**(given.exposed_ports or {}), **(config.exposed_ports or {})}
    config.exposed_ports = exposed or UNSET
    config.volumes = {**(given.volumes or {}), **(config.volumes or {})} or None
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
    # What means no limit is shown as none.
    host.pids_limit = host.pids_limit if (host.pids_limit or 0) > 0 else None
    if host.memory > 0 and not host.memory_swap:
        host.memory_swap = host.memory * 2
    host.memory_swappiness = None if host.memory_swappiness == -1 else host.memory_swappiness
    if host.security_opt is None and (host.privileged or "host" in (host.pid_mode, host.ipc_mode)):
        host.security_opt = ["label=disable"]
    _default_paths(host)
    restart.check(host.restart_policy)
    if host.auto_remove and host.restart_policy.name != "no":
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")
    warnings += limits.check(host)
    log_options.check(host.log_config)
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
    if host.masked_paths is None:
        host.masked_paths = list(oci.MASKED_PATHS)
    if host.readonly_paths is None:
        host.readonly_paths = list(oci.READONLY_PATHS)


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
        mounts.check_borrowing(mode)
        lender = engine.containers.find(name)
        found.update({point.destination: point for point in mounts.borrowed(lender.spec.mounts, mode)})
    return list(found.values())


def _check_links(engine: Engine, host: HostConfig) -> None:
    for link in host.links or []:
        name = link.partition(":")[0]
        try:
            engine.containers.find(name.removeprefix("/"))
        except (NotFound, InvalidParameter) as error:
            raise InvalidParameter(f"could not get container for {name}: {error.message}") from None


def _check_joined(engine: Engine, host: HostConfig) -> None:
    for mode in (host.pid_mode, host.ipc_mode):
        if mode.startswith("container:"):
            try:
                engine.containers.find(mode.removeprefix("container:"))
            except NotFound as error:
                # 404 would mean the image to clients, which pull that.
                raise InvalidParameter(error.message) from None
