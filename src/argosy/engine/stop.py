"""Ending a container's process, or holding it: kill, stop, restart, pause."""

import asyncio
import contextlib
import signal

from argosy.engine import oci
from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.lifecycle import Event, Status
from argosy.errors import Conflict, InvalidParameter, NotModified
from argosy.linux import cgroup

_KILL_PATIENCE = 10.0


def parse_signal(text: str) -> int:
    """`SIGTERM`, `term`, `15`, `RTMIN+3`. Raises InvalidParameter."""
    if text.isdigit():
        number = int(text)
        if 0 < number <= 64:
            return number
    name = text.upper().removeprefix("SIG")
    base, plus, offset = name.partition("+")
    found = getattr(signal, "SIG" + base, None)
    if isinstance(found, signal.Signals) and (not plus or (base == "RTMIN" and offset.isdigit())):
        return int(found) + int(offset or 0)
    raise InvalidParameter(f"invalid signal: {text}")


def _not_running(container: Container) -> Conflict:
    return Conflict(f"container {container.id} is not running")


async def kill(engine: Engine, container: Container, name: str = "SIGKILL") -> None:
    """Send a signal. Raises Conflict when nothing runs, InvalidParameter."""
    number = parse_signal(name or "SIGKILL")
    if not container.status.is_alive():
        raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
    if number in (signal.SIGKILL, parse_signal(container.stop_signal())):
        container.state.stopped_by_user = True
    await engine.shim.signal(container.id, "", number)
    if container.status == Status.PAUSED and number == signal.SIGKILL:
        await engine.in_thread(_thaw, engine, container)
    engine.container_event(container, "kill", signal=str(number))


async def stop(engine: Engine, container: Container, timeout: int | None = None, name: str = "") -> None:
    """Ask it to end, and kill it after `timeout` seconds (-1: never). Raises NotModified."""
    if container.status == Status.RESTARTING:
        await give_up(engine, container)
        return
    if not container.status.is_alive():
        raise NotModified(f"container {container.id} is not running")
    await end(engine, container, timeout, name)
    engine.container_event(container, "stop")


async def end(engine: Engine, container: Container, timeout: int | None = None, name: str = "") -> None:
    """As `stop`, for whoever goes on afterwards."""
    container.state.stopped_by_user = True
    patience = container.stop_timeout() if timeout is None else timeout
    exited = container.next_exit()
    with contextlib.suppress(Conflict):
        if container.status == Status.PAUSED:
            await unpause(engine, container)
        await kill(engine, container, name or container.stop_signal())
    if not await _within(exited, patience):
        await end_now(engine, container, exited)


async def end_now(engine: Engine, container: Container, exited: "asyncio.Future[None] | None" = None) -> None:
    """SIGKILL, and wait until it is gone. Raises Conflict if it will not die."""
    exited = exited or container.next_exit()
    container.state.stopped_by_user = True
    try:
        await kill(engine, container, "SIGKILL")
    except Conflict:
        if not container.status.is_alive():
            return
    if not await _within(exited, _KILL_PATIENCE):
        raise Conflict(
            f"container {container.id} cannot be killed: its process (pid {container.state.pid}) hangs in "
            "the kernel",
            hint="Look for a file system or a device that does not answer.",
        )


async def _within(future: "asyncio.Future[None]", seconds: float) -> bool:
    done, _ = await asyncio.wait([future], timeout=None if seconds < 0 else seconds)
    return bool(done)


async def give_up(engine: Engine, container: Container) -> None:
    """No further restart."""
    async with container.lock:
        if container.status != Status.RESTARTING:
            return
        container.call_off_restart()
        container.state.stopped_by_user = True
        container.fire(Event.GIVE_UP)
        await engine.containers.save_state(container)


async def pause(engine: Engine, container: Container, *, lasting: bool = True) -> None:
    """If it is not to last, the next engine undoes it should this one end. Raises Conflict."""
    async with container.lock:
        if container.status == Status.PAUSED:
            raise Conflict(f"container {container.id} is already paused")
        if container.status != Status.RUNNING:
            raise _not_running(container)
        await engine.in_thread(cgroup.group(cgroup_path(engine, container)).freeze, True)
        container.fire(Event.PAUSE)
        if lasting:
            await engine.containers.save_state(container)
    engine.container_event(container, "pause")


async def unpause(engine: Engine, container: Container) -> None:
    async with container.lock:
        if container.status != Status.PAUSED:
            raise Conflict(f"Container {container.id} is not paused")
        await engine.in_thread(_thaw, engine, container)
        container.fire(Event.UNPAUSE)
        await engine.containers.save_state(container)
    engine.container_event(container, "unpause")


def _thaw(engine: Engine, container: Container) -> None:
    cgroup.group(cgroup_path(engine, container)).freeze(False)


def cgroup_path(engine: Engine, container: Container) -> str:
    return oci.cgroup_path(container.spec, engine.settings.cgroup_parent)
