"""Health checks: a command in the container, now and then, whose exit code says how it is.

A container begins as `starting`. One success makes it healthy; so many failures in a row as `retries`
says make it unhealthy, though none counts during the start period until the first success. Nothing is
stopped for being unhealthy: whoever wants that listens to the events.
"""

import asyncio
import contextlib
import signal
import socket
import time

from argosy.engine.container import Check, Container, Health
from argosy.engine.core import Engine, log
from argosy.engine.execs import Execution, Executions
from argosy.engine.lifecycle import Status
from argosy.engine.shim_link import ShimError
from argosy.errors import ArgosyError
from argosy.spec.docker_container import ExecConfig, Healthcheck
from argosy.units import NANOSECONDS
from argosy.wire import stdstream

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
_DEFAULT_INTERVAL = _DEFAULT_TIMEOUT = 30 * NANOSECONDS
_DEFAULT_START_INTERVAL = 5 * NANOSECONDS
_DEFAULT_RETRIES = 3
_KEPT = 5
_OUTPUT_LIMIT = 4096
_DRAIN_SECONDS = 0.2
_NOT_EXECUTABLE = -1


def command(check: Healthcheck | None, shell: list[str] | None) -> list[str]:
    """What to run; empty if there is no check (or it is `NONE`)."""
    test = list(check.test or []) if check is not None else []
    if test[:1] == ["CMD-SHELL"] and len(test) > 1:
        return [*(shell or ["/bin/sh", "-c"]), test[1]]
    return test[1:] if test[:1] == ["CMD"] else []


def judged(health: Health, check: Healthcheck, result: Check, *, started_at: int) -> Health:
    """What a container's health is after one more check. Times in Unix nanoseconds."""
    log_kept = [*health.log, result][-_KEPT:]
    if result.exit_code == 0:
        return Health(HEALTHY, 0, log_kept)
    in_start_period = health.status == STARTING and result.start - started_at < check.start_period
    streak = health.failing_streak if in_start_period else health.failing_streak + 1
    unhealthy = streak >= (check.retries or _DEFAULT_RETRIES)
    return Health(UNHEALTHY if unhealthy else health.status, streak, log_kept)


def pause_before(health: Health, check: Healthcheck, *, now: int, started_at: int) -> float:
    """Seconds until the next check."""
    interval = check.interval or _DEFAULT_INTERVAL
    if health.status == STARTING and now - started_at < check.start_period:
        interval = check.start_interval or _DEFAULT_START_INTERVAL
    return interval / NANOSECONDS


class HealthChecks:
    """One task for each running container that has a check."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._executions = Executions(engine)

    def watch(self, container: Container) -> None:
        """The container has started, or was found running."""
        config = container.spec.config
        check = config.healthcheck or None
        words = command(check, config.shell or None)
        if not words or check is None:
            return
        started_at = container.state.started_at
        health = container.state.health
        if health is None or health.of != started_at:
            container.state.health = Health(STARTING, of=started_at)
        self._engine.spawn(self._watch(container, check, words), f"checking the health of {container.name}")

    async def _watch(self, container: Container, check: Healthcheck, words: list[str]) -> None:
        state = container.state
        started_at = state.started_at
        while True:
            health = state.health or Health(STARTING, of=started_at)
            await asyncio.sleep(pause_before(health, check, now=time.time_ns(), started_at=started_at))
            if state.started_at != started_at or not state.status.is_alive():
                return
            if state.status == Status.PAUSED:
                continue
            result = await self._probe(container, check, words)
            if state.started_at != started_at or not state.status.is_alive():
                return
            judgement = judged(health, check, result, started_at=started_at)
            judgement.of = started_at
            state.health = judgement
            if judgement.status != health.status:
                self._engine.container_event(container, f"health_status: {judgement.status}")
            await self._engine.containers.save_state(container)

    async def _probe(self, container: Container, check: Healthcheck, words: list[str]) -> Check:
        begun = time.time_ns()
        timeout = (check.timeout or _DEFAULT_TIMEOUT) / NANOSECONDS
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        output = bytearray()
        with ours, theirs:
            try:
                execution = self._executions.create(
                    container, ExecConfig(cmd=words, attach_stdout=True, attach_stderr=True)
                )
                self._executions.claim(execution)
                await self._executions.attach(execution, theirs, b"", b"")
                theirs.close()
                reading = asyncio.ensure_future(_read(ours, output))
                try:
                    await self._executions.start(execution, None)
                    await asyncio.wait_for(execution.finished.wait(), timeout)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reading, _DRAIN_SECONDS)
                finally:
                    reading.cancel()
            except TimeoutError:
                await self._kill(container, execution)
                text = f"Health check exceeded timeout ({timeout:g}s)"
                return Check(begun, time.time_ns(), -1, text)
            except ArgosyError as error:
                return Check(begun, time.time_ns(), _NOT_EXECUTABLE, error.message)
        return Check(begun, time.time_ns(), execution.exit_code or 0, _text(output))

    async def _kill(self, container: Container, execution: Execution) -> None:
        try:
            await self._engine.shim.signal(container.id, execution.id, signal.SIGKILL)
        except (ArgosyError, ShimError) as error:
            # It has ended in between, or the container has.
            log.debug("health check of %s: %s", container.name, error)


async def _read(connection: socket.socket, output: bytearray) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(connection, _OUTPUT_LIMIT):
        # A check that talks without end is listened to, so that it can go on, and forgotten.
        if len(output) < 2 * _OUTPUT_LIMIT:
            output += data


def _text(frames: bytes | bytearray) -> str:
    found = b""
    position = 0
    while position + stdstream.HEADER.size <= len(frames):
        _, size = stdstream.HEADER.unpack_from(frames, position)
        position += stdstream.HEADER.size
        found += frames[position : position + size]
        position += size
    return found[:_OUTPUT_LIMIT].decode(errors="replace")
