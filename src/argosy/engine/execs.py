"""Further processes in a running container. They live in memory: an engine that restarts forgets them,
as Docker's does, though what they run goes on."""

import asyncio
import contextlib
import os
import socket
from typing import Any

import msgspec

from argosy.engine import oci
from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.identities import identity
from argosy.engine.lifecycle import Status
from argosy.engine.shim_link import ShimError
from argosy.engine.start import exit_code_of
from argosy.engine.stop import cgroup_path
from argosy.errors import Conflict, InvalidParameter, NotFound
from argosy.ids import new_id
from argosy.runtime.users import UserError
from argosy.spec.docker_container import ExecConfig, ExecInspect, ExecProcess
from argosy.spec.oci_runtime import Config, Process

_COMPLAINT = "OCI runtime exec failed: exec failed: unable to start container process: "
# How many executions that have ended are remembered.
_KEPT = 256


class Execution:
    """`exit_code` is None until it has ended."""

    def __init__(self, container: Container, config: ExecConfig) -> None:
        self.id = new_id()
        self.container = container
        self.config = config
        self.pid = 0
        self.running = False
        self.started = False
        self.exit_code: int | None = None
        self.finished = asyncio.Event()

    def ended(self, status: int) -> None:
        if self.running or self.exit_code is None:
            self.running = False
            self.exit_code = status
            self.finished.set()


class Executions:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._all: dict[str, Execution] = {}

    def create(self, container: Container, config: ExecConfig) -> Execution:
        """Raises Conflict unless the container runs, InvalidParameter."""
        if not config.cmd:
            raise InvalidParameter("No exec command specified")
        if container.status == Status.PAUSED:
            raise Conflict(f"Container {container.id} is paused, unpause the container before exec")
        if not container.status.is_alive():
            raise Conflict(f"container {container.id} is not running")
        self._forget_ended()
        execution = Execution(container, config)
        self._all[execution.id] = execution
        container.execs[execution.id] = execution
        self._engine.container_event(container, f"exec_create: {' '.join(config.cmd)}", execID=execution.id)
        return execution

    async def check_user(self, container: Container, user: str) -> None:
        """Raises InvalidParameter for one that the container doesn't know."""
        if user and container.state.pid:
            await self._engine.in_thread(_look_up, container.state.pid, user)

    def _forget_ended(self) -> None:
        """Keep the last that ended, since clients ask for exit codes; a busy container runs thousands."""
        ended = [execution for execution in self._all.values() if execution.exit_code is not None]
        for execution in ended[:-_KEPT]:
            del self._all[execution.id]
            execution.container.execs.pop(execution.id, None)

    def find(self, identifier: str) -> Execution:
        """Raises NotFound."""
        matching = [found for key, found in self._all.items() if key.startswith(identifier)]
        if identifier in self._all:
            return self._all[identifier]
        if len(matching) != 1 or not identifier:
            raise NotFound(f"No such exec instance: {identifier}")
        return matching[0]

    def claim(self, execution: Execution) -> None:
        """It starts once. Raises Conflict."""
        if execution.started:
            raise Conflict(f"exec command {execution.id} has already run")
        if not execution.container.status.is_alive():
            raise Conflict(f"container {execution.container.id} is not running")
        execution.started = True

    async def attach(
        self, execution: Execution, connection: socket.socket, detach_keys: bytes, initial: bytes
    ) -> None:
        config = execution.config
        await self._engine.shim.attach(
            connection,
            execution.container.id,
            execution.id,
            stdin=config.attach_stdin,
            stdout=config.attach_stdout,
            stderr=config.attach_stderr,
            detach_keys=detach_keys,
            initial=initial,
        )

    async def start(self, execution: Execution, console_size: list[int] | None) -> None:
        """Raises ShimError for what cannot be executed; then `exit_code` is set, too."""
        engine, container, config = self._engine, execution.container, execution.config
        bundle = os.path.join(engine.bundle(container), f"exec-{execution.id}.json")
        await engine.in_thread(
            self._write_bundle, container, config, console_size or config.console_size, bundle
        )
        execution.running = True
        try:
            answer = await engine.shim.ask(
                {
                    "op": "exec",
                    "id": container.id,
                    "exec": execution.id,
                    "bundle": bundle,
                    "terminal": config.tty,
                    "open_stdin": config.attach_stdin,
                    "stdin_once": True,
                    "complaint": _COMPLAINT,
                }
            )
        except ShimError as error:
            execution.running = False
            execution.exit_code = exit_code_of(error.message)
            raise ShimError(
                _COMPLAINT + error.message,
                error.kind,
            ) from None
        finally:
            # Gone already if the container is being removed.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(bundle)
        execution.pid = answer["pid"]
        engine.container_event(container, f"exec_start: {' '.join(config.cmd or [])}", execID=execution.id)

    def _write_bundle(
        self, container: Container, config: ExecConfig, console_size: list[int] | None, path: str
    ) -> None:
        engine = self._engine
        with open(os.path.join(engine.bundle(container), "config.json"), "rb") as file:
            first: Config = msgspec.json.decode(file.read())
        inherited = first["process"]
        document: dict[str, Any] = {"process": self._process(container, config, console_size, inherited)}
        if "seccomp" in first["argosy"]:
            document["seccomp"] = first["argosy"]["seccomp"]
        document["cgroup"] = cgroup_path(engine, container)
        document["terminal"] = config.tty
        with open(path, "wb") as file:
            file.write(msgspec.json.encode(document))

    def _process(
        self, container: Container, config: ExecConfig, console_size: list[int] | None, inherited: Process
    ) -> Process:
        names = {item.partition("=")[0] for item in config.env or []}
        env = [item for item in inherited["env"] if item.partition("=")[0] not in names]
        env += [item for item in config.env or [] if "=" in item]
        if config.tty and not any(item.startswith("TERM=") for item in env):
            env.append("TERM=xterm")
        host = container.spec.host
        return oci.process(
            args=list(config.cmd or []),
            env=env,
            cwd=config.working_dir or inherited["cwd"],
            user=config.user or container.spec.config.user,
            groups=host.group_add or [],
            terminal=config.tty,
            console_size=console_size,
            caps=list(oci.ALL_CAPABILITIES) if config.privileged else oci.capabilities(host),
            no_new_privileges=inherited["noNewPrivileges"],
            apparmor=inherited.get("apparmorProfile", ""),
            rlimits=inherited.get("rlimits", []),
            oom_score_adj=0,
        )

    def inspect(self, execution: Execution) -> ExecInspect:
        config = execution.config
        words = config.cmd or [""]
        return ExecInspect(
            id=execution.id,
            running=execution.running,
            exit_code=execution.exit_code,
            process_config=ExecProcess(
                config.tty,
                words[0],
                words[1:],
                config.privileged,
                config.user or msgspec.UNSET,
            ),
            open_stdin=config.attach_stdin,
            open_stderr=config.attach_stderr,
            open_stdout=config.attach_stdout,
            can_remove=execution.exit_code is not None,
            container_id=execution.container.id,
            detach_keys=config.detach_keys,
            pid=execution.pid,
        )


def _look_up(pid: int, user: str) -> None:
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        # It has just ended; who executes something in it is told so.
        return
    try:
        identity(root, user)
    except UserError as error:
        raise InvalidParameter(str(error)) from None
    finally:
        os.close(root)
