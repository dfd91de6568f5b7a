"""What becomes of a container when its process ends, and of all of them when the engine begins.

An exit is recorded first, then the shim may forget it; so it is never lost, and hearing of it twice
does no harm. At the start the engine compares three accounts: its database, the shim's list, and what
the kernel shows (interfaces, firewall, cgroups); the shim's word decides what runs.
"""

import contextlib
import os
import shutil
import signal
import time
from typing import Any

from argosy.engine.container import Container
from argosy.engine.core import Engine, log
from argosy.engine.health import HealthChecks
from argosy.engine.lifecycle import Event, Status
from argosy.engine.remove import remove_locked
from argosy.engine.restart import delay_before_restart, starts_with_engine
from argosy.engine.start import let_go_of_mounts, start_locked
from argosy.engine.stop import cgroup_path
from argosy.errors import ArgosyError
from argosy.linux import cgroup
from argosy.units import NANOSECONDS

_KILLED = 137


class Supervisor:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._health = HealthChecks(engine)

    async def begin(self) -> None:
        """Connect to the shim, put everything in order, and watch from then on."""
        engine = self._engine
        engine.containers.load()
        await engine.shim.connect()
        alive = self._adopt()
        for complaint in engine.networks.restore(
            {c.id: c.state.attachment for c in alive if c.state.attachment is not None}
        ):
            log.warning(complaint)
        await engine.in_thread(self._sweep, {c.id for c in alive})
        engine.on_started = self._health.watch
        engine.on_exit = self.exited
        engine.on_exec_exit = self.exec_exited
        engine.on_shim_lost = self._shim_lost
        for (_, exec_id), message in engine.exited.items():
            if exec_id:
                self.exec_exited(message)
            else:
                await self.exited(message)
        for container in engine.containers.all():
            await self._settle(container, running=container in alive)
        for container in alive:
            if container.status.is_alive():
                self._health.watch(container)

    def _adopt(self) -> list[Container]:
        """Those whose process the shim holds, be it alive or with its exit not yet recorded."""
        engine = self._engine
        alive = []
        for (identifier, exec_id), message in engine.known.items():
            container = engine.containers.get(identifier)
            if exec_id:
                continue
            if container is None:
                # Its removal was under way, which only follows an exit.
                continue
            if not container.status.is_alive():
                if not container.status.can_start():
                    continue
                container.fire(Event.START)
            container.state.pid, container.state.started_at = message["pid"], message["time"]
            alive.append(container)
        return alive

    def _sweep(self, alive: set[str]) -> None:
        """Remove what belongs to no container: snapshots, directories, bundles, cgroups."""
        engine = self._engine
        known = {container.id for container in engine.containers.all()}
        views = {image.key for container in engine.containers.all() for image in container.spec.images}
        engine.images.recover(known | views, running=bool(alive))
        for parent in (engine.settings.containers, engine.settings.bundles):
            for entry in os.listdir(parent):
                if entry not in (known if parent == engine.settings.containers else alive):
                    shutil.rmtree(os.path.join(parent, entry))
        for entry in cgroup.children(engine.settings.cgroup_parent) - alive:
            group = cgroup.group(f"{engine.settings.cgroup_parent}/{entry}")
            kill_group(group)
            group.remove()

    async def _settle(self, container: Container, *, running: bool) -> None:
        """Finish what was under way when the last engine ended."""
        if running:
            await self._settle_pause(container)
            return
        async with container.lock:
            if container.status.is_alive():
                # Neither running nor reaped: the machine was restarted, or the shim was killed.
                self._record_exit(container, {"status": 255, "oom": False, "time": 0})
                await self._engine.containers.save_state(container)
            if container.spec.host.auto_remove and container.status != Status.CREATED:
                await remove_locked(self._engine, container, volumes=True)
                return
            if container.status == Status.RESTARTING:
                container.fire(Event.GIVE_UP)
            policy = container.spec.host.restart_policy
            wanted = starts_with_engine(
                policy, status=container.status, stopped_by_user=container.state.stopped_by_user
            )
            if wanted:
                self._engine.spawn(self._start_again(container), f"starting {container.name}")

    async def _settle_pause(self, container: Container) -> None:
        """Its processes are held if and only if that was recorded: a commit holds them for a moment."""
        engine = self._engine
        group = cgroup.group(cgroup_path(engine, container))
        paused = container.status == Status.PAUSED
        # It may have ended by now, and its group may be gone.
        with contextlib.suppress(FileNotFoundError):
            if container.status.is_alive() and group.is_frozen() != paused:
                await engine.in_thread(group.freeze, paused)

    def exec_exited(self, message: dict[str, Any]) -> None:
        """A process beside a container's first one has ended."""
        engine = self._engine
        container = engine.containers.get(message["id"])
        execution = container.execs.get(message["exec"]) if container is not None else None
        if container is not None and execution is not None:
            execution.ended(message["status"])
            engine.container_event(
                container, "exec_die", execID=message["exec"], exitCode=str(message["status"])
            )
        engine.shim.tell({"op": "release", "id": message["id"], "exec": message["exec"]})

    async def exited(self, message: dict[str, Any]) -> None:
        """A container's first process has ended."""
        engine = self._engine
        container = engine.containers.get(message["id"])
        if container is None:
            engine.shim.tell({"op": "release", "id": message["id"]})
            return
        async with container.lock:
            if not container.status.is_alive():
                engine.shim.tell({"op": "release", "id": container.id})
                return
            await self._ended(container, message)

    async def _ended(self, container: Container, message: dict[str, Any]) -> None:
        engine = self._engine
        state = container.state
        attachment = state.attachment
        self._record_exit(container, message)
        if attachment is not None:
            engine.networks.detach(attachment)
        await let_go_of_mounts(engine, container)
        auto_remove = container.spec.host.auto_remove
        if not auto_remove:
            await engine.containers.save_state(container)
        engine.shim.tell({"op": "release", "id": container.id})
        if message["oom"]:
            engine.container_event(container, "oom")
        ran = (state.finished_at - state.started_at) / NANOSECONDS
        engine.container_event(container, "die", execDuration=str(int(ran)), exitCode=str(state.exit_code))
        if message.get("lost"):
            log.warning(
                "container %s: %d bytes of log were lost: disk full?", container.name, message["lost"]
            )
        delay = delay_before_restart(
            container.spec.host.restart_policy,
            exit_code=state.exit_code,
            restarts=state.restarts,
            stopped_by_user=state.stopped_by_user,
            last_delay=container.last_delay,
            ran=ran,
        )
        if delay is not None:
            container.last_delay = delay
            container.fire(Event.WAIT_TO_RESTART)
            container.restart_timer = engine.loop.call_later(
                delay, lambda: engine.spawn(self._start_again(container), f"restarting {container.name}")
            )
        container.tell_exited()
        if auto_remove:
            await remove_locked(engine, container, volumes=True)

    @staticmethod
    def _record_exit(container: Container, message: dict[str, Any]) -> None:
        state = container.state
        container.fire(Event.EXIT)
        state.pid = 0
        state.exit_code = message["status"]
        state.oom_killed = message["oom"]
        state.finished_at = message["time"] or state.started_at
        state.attachment = None
        for execution in container.execs.values():
            execution.ended(_KILLED)

    async def _start_again(self, container: Container) -> None:
        async with container.lock:
            container.restart_timer = None
            if self._engine.containers.get(container.id) is not container or not container.status.can_start():
                return
            container.state.restarts += 1
            try:
                await start_locked(self._engine, container)
            except ArgosyError as error:
                log.warning("container %s cannot be restarted: %s", container.name, error.message)

    async def _shim_lost(self) -> None:
        """Somebody killed the shim. Its containers cannot be looked after any more: they end, too."""
        engine = self._engine
        log.error("argosy-shim is gone; its containers are stopped and it is started again")
        await engine.shim.connect()
        for container in engine.containers.all():
            async with container.lock:
                if not container.status.is_alive():
                    continue
                group = cgroup.group(cgroup_path(engine, container))
                await engine.in_thread(kill_group, group)
                await engine.in_thread(group.remove)
                await self._ended(container, {"status": _KILLED, "oom": False, "time": 0})


def kill_group(group: cgroup.Group) -> None:
    """Kill all in it, and wait until they are gone."""
    for _ in range(500):
        pids = group.pids()
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
