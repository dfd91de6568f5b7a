"""Starting a container: network, bundle, shim; and back again if one of them fails."""

import os
import shutil
import sqlite3
from typing import Any

import msgspec

from argosy.engine import devices, log_options, oci, shared_memory, stubs
from argosy.engine.container import Container
from argosy.engine.core import Engine, log
from argosy.engine.lifecycle import Event, Status
from argosy.engine.networks import BRIDGE, HOST, NONE
from argosy.engine.remove import remove_locked
from argosy.engine.security import security
from argosy.engine.shim_link import ShimError
from argosy.engine.stop import end, give_up
from argosy.errors import ArgosyError, Conflict, InvalidParameter, NotFound, NotModified
from argosy.image import Mount
from argosy.linux.namespaces import namespace_path
from argosy.runtime import seccomp_policy
from argosy.spec.oci_runtime import Config, Endpoint, RootfsMount

_encode = msgspec.json.Encoder().encode
SHAREABLE = "shareable"
NOT_FOUND, NOT_EXECUTABLE, CANNOT_START = 127, 126, 128


async def start(engine: Engine, container: Container) -> None:
    """Raises NotModified if it runs, Conflict, InvalidParameter, PortTaken."""
    async with container.lock:
        if container.status == Status.RUNNING:
            raise NotModified(f"container {container.id} is already running")
        if container.status == Status.PAUSED:
            raise Conflict("cannot start a paused container, try unpause instead")
        if not container.status.can_start():
            raise Conflict("container is marked for removal and cannot be started")
        container.call_off_restart()
        container.state.restarts = 0
        await start_locked(engine, container)


async def restart(engine: Engine, container: Container, timeout: int | None = None, name: str = "") -> None:
    if container.status.is_alive():
        await end(engine, container, timeout, name)
    elif container.status == Status.RESTARTING:
        await give_up(engine, container)
    async with container.lock:
        if not container.status.can_start():
            raise Conflict(f"container {container.id} cannot be restarted: it is {container.status}")
        await start_locked(engine, container)
    engine.container_event(container, "restart")


async def start_locked(engine: Engine, container: Container) -> None:
    """With the lock held and the status one that can start. Raises ArgosyError."""
    state = container.state
    before = state.status
    state.stopped_by_user = False
    try:
        try:
            await _prepare(engine, container)
            answer = await engine.shim.ask(_request(engine, container))
        except BaseException:
            _let_go_of_network(engine, container)
            await let_go_of_mounts(engine, container)
            raise
    except (ArgosyError, OSError, sqlite3.Error) as error:
        if before == Status.RESTARTING:
            container.fire(Event.FAIL)
        failure = error if isinstance(error, ArgosyError) else ArgosyError(f"cannot start: {error}")
        await _failed(engine, container, failure)
        raise failure from error
    container.fire(Event.START)
    state.pid, state.started_at = answer["pid"], answer["time"]
    state.exit_code, state.error, state.oom_killed = 0, "", False
    if state.attachment is not None:
        _network_event(engine, container, "connect")
    engine.container_event(container, "start")
    if engine.on_started is not None:
        engine.on_started(container)


async def _prepare(engine: Engine, container: Container) -> None:
    """Everything but the process itself. If it fails, the network is the caller's to give back."""
    endpoints: list[Endpoint] = []
    mode = container.spec.host.network_mode
    if mode not in (BRIDGE, HOST, NONE) and not mode.startswith("container:"):
        raise NotFound(
            f"network {mode} not found", hint="Networks here are bridge, host, none and container:NAME."
        )
    if mode == BRIDGE:
        container.state.attachment, endpoint = engine.networks.attach(container)
        endpoints.append(endpoint)
    if container.spec.mounts:
        await _attach_volumes(engine, container)
    if container.spec.host.ipc_mode == SHAREABLE:
        await engine.in_thread(shared_memory.make, engine.bundle(container), container.spec.host.shm_size)
    seccomp = await seccomp_filter(engine, container)
    joined = lent_namespaces(engine, container)
    _write_bundle(engine, container, endpoints, seccomp, joined)
    # Before it runs, so that an engine that dies from here on knows what the container holds. What
    # follows, its PID and the moment, the shim knows as well.
    await engine.containers.save_state(container, status=Status.RUNNING)


async def _attach_volumes(engine: Engine, container: Container) -> None:
    for point in container.spec.mounts:
        if point.type == "volume" and engine.volumes.is_mount(point.name):
            await engine.in_thread(engine.volumes.attach, point.name)


async def let_go_of_mounts(engine: Engine, container: Container) -> None:
    """With the container's process gone: what no other running one uses is unmounted."""
    if container.spec.host.ipc_mode == SHAREABLE:
        await engine.in_thread(shared_memory.remove, engine.bundle(container))
    for point in container.spec.mounts:
        if point.type != "volume" or not engine.volumes.is_mount(point.name):
            continue
        users = (engine.containers.get(user) for user in engine.volume_users(str(point.name)))
        if any(user is not None and user is not container and user.status.is_alive() for user in users):
            continue
        try:
            await engine.in_thread(engine.volumes.detach, point.name)
        except Conflict as error:
            log.warning("%s", error.message)


def _write_bundle(
    engine: Engine, container: Container, endpoints: list[Endpoint], seccomp: str, joined: dict[str, str]
) -> None:
    devices.check_requests(container.spec.host)
    bundle = engine.bundle(container)
    os.makedirs(bundle, mode=0o700, exist_ok=True)
    engine.networks.write_files(container, bundle, _links(engine, container))
    snapshotter = engine.images.snapshotter
    images = {image.target: _as_values(snapshotter.mounts(image.key)) for image in container.spec.images}
    config: Config = oci.config(
        container.spec,
        directory=bundle,
        rootfs=engine.settings.rootfs,
        rootfs_mounts=_as_values(stubs.above(engine.settings.stubs, snapshotter.mounts(container.id))),
        cgroup_parent=engine.settings.cgroup_parent,
        seccomp=seccomp,
        endpoints=endpoints,
        joined=joined,
        init=_init_path(container),
        images=images,
        shm=_shared_memory(engine, container),
        apparmor=engine.apparmor.profile(container.spec.host),
    )
    with open(os.path.join(bundle, "config.json"), "wb") as file:
        file.write(_encode(config))


def _shared_memory(engine: Engine, container: Container) -> str:
    """The tmpfs that it shares with others, its own or one of theirs; "" for one that nobody else sees."""
    mode = container.spec.host.ipc_mode
    if mode.startswith("container:"):
        lender = engine.containers.find(mode.partition(":")[2])
        return shared_memory.path_in(engine.bundle(lender))
    return shared_memory.path_in(engine.bundle(container)) if mode == SHAREABLE else ""


def _as_values(mounts: list[Mount]) -> list[RootfsMount]:
    return [{"type": each.type, "source": each.source, "options": list(each.options)} for each in mounts]


def _request(engine: Engine, container: Container) -> dict[str, Any]:
    config, host = container.spec.config, container.spec.host
    request: dict[str, Any] = {
        "op": "start",
        "id": container.id,
        "bundle": engine.bundle(container),
        "open_stdin": config.open_stdin,
        "stdin_once": config.stdin_once,
    }
    if host.log_config.type != "none":
        size, files = log_options.sizes(host.log_config)
        request["log"] = {"directory": engine.directory(container), "max_size": size, "max_files": files}
    return request


def _init_path(container: Container) -> str:
    if container.spec.host.init is not True:
        return ""
    for name in ("docker-init", "dumb-init", "tini-static", "catatonit"):
        path = shutil.which(name)
        if path:
            return path
    raise InvalidParameter(
        "--init needs an init binary on the host", hint="Install dumb-init or tini and try again."
    )


async def seccomp_filter(engine: Engine, container: Container) -> str:
    """The path of the container's compiled filter, or "" without one."""
    host = container.spec.host
    profile = security(host).seccomp
    if profile == "unconfined" or (host.privileged and not profile):
        return ""
    cache = os.path.join(engine.settings.run, "seccomp")
    caps = tuple(oci.capabilities(host))
    key = (profile, caps)
    path = engine.seccomp_filters.get(key)
    if path is None:
        if profile and profile != "builtin":
            try:
                policy = seccomp_policy.parse_policy(profile, list(caps))
            except ValueError as error:
                raise InvalidParameter(f"Decoding seccomp profile failed: {error}") from None
        else:
            policy = seccomp_policy.default_policy(list(caps))
        path = await engine.in_thread(seccomp_policy.compiled, policy, cache)
        engine.seccomp_filters[key] = path
    return path


def _links(engine: Engine, container: Container) -> list[tuple[str, str]]:
    """The addresses of linked containers, and their names. Raises NotFound, Conflict."""
    found = []
    for link in container.spec.host.links or []:
        name, _, alias = link.partition(":")
        lender = engine.containers.find(name.removeprefix("/"))
        # Docker writes links as it shows them: /other:/this/alias.
        alias = alias.rpartition("/")[2] or lender.name
        if lender.state.attachment is None:
            raise Conflict(
                f"Cannot link to a non running container: /{lender.name} AS /{container.name}/{alias}"
            )
        names = dict.fromkeys((alias, lender.spec.config.hostname, lender.name))
        found.append((lender.state.attachment.address, " ".join(names)))
    return found


def lent_namespaces(engine: Engine, container: Container) -> dict[str, str]:
    """The namespaces that other containers lend. Raises NotFound, Conflict."""
    host = container.spec.host
    found = {}
    for kind, mode in (("network", host.network_mode), ("pid", host.pid_mode), ("ipc", host.ipc_mode)):
        scheme, _, name = mode.partition(":")
        if scheme == "container":
            try:
                lender = engine.containers.find(name)
            except NotFound as error:
                if kind != "network":
                    raise
                raise NotFound(f"joining network namespace of container: {error.message}") from None
            if not lender.status.is_alive():
                if kind == "network":
                    state = f"container {lender.name} is {lender.status}"
                    raise Conflict(f"cannot join network namespace of a non running container: {state}")
                raise Conflict(
                    f"failed to join {kind.upper()} namespace: container {lender.id} is not running"
                )
            if kind == "ipc" and lender.spec.host.ipc_mode != SHAREABLE:
                raise Conflict(
                    f"failed to join IPC namespace: container {lender.id}: non-shareable IPC "
                    "(hint: use IpcMode:shareable for the donor container)"
                )
            found[kind] = namespace_path(lender.state.pid, kind)
    return found


def exit_code_of(message: str) -> int:
    """What a shell would say of a program that could not be started (and docker's CLI does)."""
    if "executable file not found" in message or "no such file or directory" in message:
        return NOT_FOUND
    if "permission denied" in message:
        return NOT_EXECUTABLE
    return CANNOT_START


async def _failed(engine: Engine, container: Container, error: ArgosyError) -> None:
    container.state.error = error.message
    container.state.exit_code = exit_code_of(error.message) if isinstance(error, ShimError) else CANNOT_START
    engine.shim.tell({"op": "forget", "id": container.id})
    if container.spec.host.auto_remove:
        await remove_locked(engine, container, volumes=True)
        return
    shutil.rmtree(engine.bundle(container), ignore_errors=True)
    await engine.containers.save_state(container)


def _let_go_of_network(engine: Engine, container: Container) -> None:
    attachment, container.state.attachment = container.state.attachment, None
    if attachment is not None:
        engine.networks.detach(attachment)


def _network_event(engine: Engine, container: Container, action: str) -> None:
    mode = container.spec.host.network_mode
    attributes = {"container": container.id, "name": mode, "type": "bridge"}
    engine.events.publish("network", action, engine.networks.id_of(mode), attributes)
