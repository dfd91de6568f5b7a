"""Running the steps of builds: containers that are not listed, and of which nothing but a layer remains."""

import asyncio
import io
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import msgspec

from argosy.engine import oci, stubs
from argosy.engine.container import Container, Spec, State
from argosy.engine.core import Engine
from argosy.engine.create import normalise
from argosy.engine.networks import BRIDGE
from argosy.engine.start import lent_namespaces, seccomp_filter
from argosy.errors import InvalidParameter, Unavailable
from argosy.spec.build_step import BuildStep, StepMount
from argosy.spec.docker_container import ContainerConfig, HostConfig, Ulimit
from argosy.spec.oci_runtime import Config, Endpoint, Mount, RootfsMount
from argosy.wire.stdstream import HEADER

Output = Callable[[int, bytes], object]
_HOSTNAME = "buildkitsandbox"
# What sethostname(2) takes.
_LONGEST_HOSTNAME = 64
_SIGKILL = 9
_CHUNK = 1 << 16


class BuildWorker:
    """A `build.worker.Worker`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._doomed: set[str] = set()

    def run(self, step: BuildStep, output: Output, left_out: set[bytes]) -> int:
        left_out.update(stubs.PATHS)
        ours, theirs = socket.socketpair()
        try:
            return self._engine.from_thread(self._run(step, theirs), lambda: _relay(ours, output))
        except CancelledError:
            raise Unavailable("the engine is stopping, and with it the step") from None
        finally:
            ours.close()
            theirs.close()
            with self._lock:
                self._doomed.discard(step.id)

    def kill(self, identifier: str) -> None:
        with self._lock:
            self._doomed.add(identifier)
        self._engine.loop.call_soon_threadsafe(self._kill, identifier)

    def _kill(self, identifier: str) -> None:
        self._engine.shim.tell({"op": "signal", "id": identifier, "signal": _SIGKILL})

    async def _run(self, step: BuildStep, output: socket.socket) -> int:
        """Its exit code. However it ends, `output` is closed: whoever relays it waits for that."""
        with output:
            return await self._carried_out(step, output)

    async def _carried_out(self, step: BuildStep, output: socket.socket) -> int:
        engine = self._engine
        container = _container(step)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[dict[str, Any]] = loop.create_future()
        engine.steps[step.id] = ended
        attachment = None
        bundle = engine.bundle(container)
        try:
            endpoints: list[Endpoint] = []
            joined = lent_namespaces(engine, container)
            if container.spec.host.network_mode == BRIDGE:
                attachment, endpoint = engine.networks.attach(container)
                container.state.attachment = attachment
                endpoints.append(endpoint)
            seccomp = await seccomp_filter(engine, container)
            config = self._config(step, container, endpoints, seccomp, joined)
            with open(os.path.join(bundle, "config.json"), "wb") as file:
                file.write(msgspec.json.encode(config))
            await engine.shim.attach(
                output,
                step.id,
                "",
                stdin=False,
                stdout=True,
                stderr=True,
                detach_keys=b"",
                initial=b"",
            )
            # The shim's copy is the one whose end is the end of the output.
            output.close()
            await engine.shim.ask({"op": "start", "id": step.id, "bundle": bundle, "open_stdin": False})
            if step.id in self._doomed:
                self._kill(step.id)
            message = await ended
            status = message["status"]
            assert isinstance(status, int)
            return status
        finally:
            del engine.steps[step.id]
            engine.shim.tell({"op": "forget", "id": step.id})
            if attachment is not None:
                engine.networks.detach(attachment)
            shutil.rmtree(bundle, ignore_errors=True)

    def _config(
        self,
        step: BuildStep,
        container: Container,
        endpoints: list[Endpoint],
        seccomp: str,
        joined: dict[str, str],
    ) -> Config:
        engine = self._engine
        bundle = engine.bundle(container)
        os.makedirs(bundle, mode=0o700, exist_ok=True)
        engine.networks.write_files(container, bundle, [])
        config = oci.config(
            container.spec,
            directory=bundle,
            rootfs=engine.settings.rootfs,
            rootfs_mounts=self._snapshot(step.snapshot),
            cgroup_parent=engine.settings.cgroup_parent,
            seccomp=seccomp,
            endpoints=endpoints,
            joined=joined,
            apparmor=engine.apparmor.profile(container.spec.host),
        )
        wanted = [self._mount(mount) for mount in step.mounts]
        places = {mount["destination"] for mount in wanted}
        # BuildKit's steps have no such file, and programs look for it.
        config["argosy"]["marks"] = {"files": [], "links": stubs.MARKS["links"]}
        kept = [mount for mount in config["mounts"] if mount["destination"] not in places]
        config["mounts"] = sorted([*kept, *wanted], key=lambda mount: mount["destination"].count("/"))
        return config

    def _mount(self, mount: StepMount) -> Mount:
        if mount.type == "tmpfs":
            size = [f"size={mount.size}"] if mount.size else []
            options = ["nosuid", "nodev", "mode=1777", *size]
            return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options}
        entry: Mount = {
            "destination": mount.target,
            "type": "bind",
            "source": mount.source,
            "options": ["rbind", "ro" if mount.read_only else "rw"],
        }
        if mount.type == "snapshot":
            entry["type"], entry["argosyStack"] = "stack", self._snapshot(mount.source)
        if mount.subpath:
            entry["argosySubpath"] = mount.subpath
        return entry

    def _snapshot(self, key: str) -> list[RootfsMount]:
        return [
            {"type": mount.type, "source": mount.source, "options": list(mount.options)}
            for mount in self._engine.images.snapshotter.mounts(key)
        ]


def _container(step: BuildStep) -> Container:
    """Raises InvalidParameter."""
    network = {"": BRIDGE, "default": BRIDGE}.get(step.network, step.network)
    if network not in (BRIDGE, "host", "none") and not network.startswith("container:"):
        raise InvalidParameter(
            f"network mode {step.network!r} not supported by a build",
            hint="It is default, none, host or container:NAME.",
        )
    if len(step.hostname) > _LONGEST_HOSTNAME:
        raise InvalidParameter(
            f"invalid host name {step.hostname}: it is longer than {_LONGEST_HOSTNAME} letters"
        )
    config = ContainerConfig()
    config.hostname = step.hostname or _HOSTNAME
    config.env = list(step.environment)
    config.user = step.user
    config.working_dir = step.workdir
    host = HostConfig()
    host.network_mode = network
    host.privileged = step.insecure
    host.shm_size = step.shm_size
    host.extra_hosts = list(step.hosts) or None
    host.ulimits = [_ulimit(text) for text in step.ulimits]
    normalise(host, config)
    spec = Spec(
        id=step.id,
        name=step.id,
        created=time.time_ns(),
        image="",
        chain_id="",
        path=step.arguments[0],
        args=step.arguments[1:],
        config=config,
        host=host,
        networks={},
        mounts=[],
    )
    return Container(spec, State())


def _ulimit(text: str) -> Ulimit:
    name, _, values = text.partition("=")
    soft, _, hard = values.partition(":")
    try:
        return Ulimit(name, hard=int(hard or soft), soft=int(soft))
    except ValueError:
        raise InvalidParameter(f"invalid ulimit: {text}") from None


def _relay(connection: socket.socket, output: Output) -> None:
    """Frames, until the other end is closed."""
    with io.BufferedReader(socket.SocketIO(connection, "r"), _CHUNK) as stream:
        while len(head := stream.read(HEADER.size)) == HEADER.size:
            number, size = HEADER.unpack(head)
            while size and (data := stream.read1(min(size, _CHUNK))):
                size -= len(data)
                output(number, data)
