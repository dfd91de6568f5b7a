"""/containers: one handler an operation."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator

from argosy.api import parameters
from argosy.api.attach_websocket import Bridge
from argosy.api.http import MULTIPLEXED, Request, Response, document, no_content
from argosy.api.router import Router
from argosy.engine import create, listing, logs, remove, report, start, stop, stubs
from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.lifecycle import Status
from argosy.errors import Conflict, InvalidParameter, NotFound
from argosy.ids import NAME
from argosy.linux import cgroup
from argosy.spec.docker_container import CreateRequest, CreateResponse, UpdateRequest

RAW = "application/vnd.docker.raw-stream"
_WAITS = ("", "not-running", "next-exit", "removed")


class Containers:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def route(self, router: Router) -> None:
        for method, pattern, handler in (
            ("GET", "/containers/json", self.index),
            ("POST", "/containers/create", self.create),
            ("POST", "/containers/prune", self.prune),
            ("GET", "/containers/{id}/json", self.inspect),
            ("POST", "/containers/{id}/start", self.start),
            ("POST", "/containers/{id}/stop", self.stop),
            ("POST", "/containers/{id}/restart", self.restart),
            ("POST", "/containers/{id}/kill", self.kill),
            ("POST", "/containers/{id}/pause", self.pause),
            ("POST", "/containers/{id}/unpause", self.unpause),
            ("POST", "/containers/{id}/rename", self.rename),
            ("POST", "/containers/{id}/update", self.update),
            ("POST", "/containers/{id}/wait", self.wait),
            ("POST", "/containers/{id}/attach", self.attach),
            ("GET", "/containers/{id}/attach/ws", self.attach_websocket),
            ("POST", "/containers/{id}/resize", self.resize),
            ("GET", "/containers/{id}/logs", self.logs),
            ("GET", "/containers/{id}/top", self.top),
            ("GET", "/containers/{id}/stats", self.stats),
            ("DELETE", "/containers/{id}", self.remove),
        ):
            router.add(method, pattern, handler)

    def _find(self, request: Request) -> Container:
        return self._engine.containers.find(request.parameters["id"])

    async def index(self, request: Request) -> Response:
        engine = self._engine
        size = request.flag("size")
        chosen = listing.choose(
            engine.containers.all(),
            request.filters(),
            every=request.flag("all"),
            limit=request.number("limit") or 0,
            is_image=self._is_image,
        )
        if size:
            return document(
                await engine.in_thread(lambda: [report.summary(engine, c, size=True) for c in chosen])
            )
        return document([report.summary(engine, container) for container in chosen])

    def _is_image(self, container: Container, text: str) -> bool:
        """The `ancestor` filter: the image itself, or one built on it."""
        try:
            image = self._engine.images.resolve(text)
        except (NotFound, InvalidParameter):
            return False
        if container.spec.image == image.id:
            return True
        try:
            own = self._engine.images.resolve(container.spec.image)
        except NotFound:
            return False
        return (
            len(own.diff_ids) > len(image.diff_ids) and own.diff_ids[: len(image.diff_ids)] == image.diff_ids
        )

    async def create(self, request: Request) -> Response:
        body = await request.json(CreateRequest)
        container, warnings = await create.create(
            self._engine, body, request.query.get("name", ""), request.query.get("platform", "")
        )
        return document(CreateResponse(container.id, warnings), 201)

    async def inspect(self, request: Request) -> Response:
        container = self._find(request)
        if request.flag("size"):
            engine = self._engine
            return document(await engine.in_thread(lambda: report.inspect(engine, container, size=True)))
        return document(report.inspect(self._engine, container))

    async def start(self, request: Request) -> Response:
        await start.start(self._engine, self._find(request))
        return no_content()

    async def stop(self, request: Request) -> Response:
        container = self._find(request)
        await stop.stop(self._engine, container, request.number("t"), request.query.get("signal", ""))
        return no_content()

    async def restart(self, request: Request) -> Response:
        container = self._find(request)
        await start.restart(self._engine, container, request.number("t"), request.query.get("signal", ""))
        return no_content()

    async def kill(self, request: Request) -> Response:
        await stop.kill(self._engine, self._find(request), request.query.get("signal", ""))
        return no_content()

    async def pause(self, request: Request) -> Response:
        await stop.pause(self._engine, self._find(request))
        return no_content()

    async def unpause(self, request: Request) -> Response:
        await stop.unpause(self._engine, self._find(request))
        return no_content()

    async def rename(self, request: Request) -> Response:
        container = self._find(request)
        name = request.query.get("name", "").removeprefix("/")
        if not name:
            raise InvalidParameter("Neither old nor new names may be empty")
        if not NAME.match(name):
            raise InvalidParameter(
                f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )
        old = container.name
        if name == old:
            raise InvalidParameter("Renaming a container with the same name as its current name")
        try:
            await self._engine.containers.rename(container, name)
        except Conflict as error:
            raise Conflict(f"Error when allocating new name: {error.message}") from None
        self._engine.container_event(container, "rename", oldName=f"/{old}")
        return no_content()

    async def remove(self, request: Request) -> Response:
        await remove.remove(
            self._engine, self._find(request), force=request.flag("force"), volumes=request.flag("v")
        )
        return no_content()

    async def update(self, request: Request) -> Response:
        # Rarely asked for, so imported when it is.
        from argosy.engine.update import update

        body = await request.json(UpdateRequest)
        return document({"Warnings": await update(self._engine, self._find(request), body)})

    async def wait(self, request: Request) -> None:
        """The headers go at once: clients start the container only when they have come."""
        container = self._find(request)
        condition = request.query.get("condition", "")
        if condition not in _WAITS:
            raise InvalidParameter(f'invalid condition: "{condition}"')
        future: asyncio.Future[None] | None = None
        if condition == "removed":
            future = container.removal()
        elif condition == "next-exit" or container.status.is_running():
            future = container.next_exit()
        stream = await request.stream()
        if future is not None:
            await future
        await stream.send({"StatusCode": container.state.exit_code})

    def _attachable(self, request: Request) -> tuple[Container, bytes]:
        """The container, and the keys that detach. Raises Conflict, InvalidParameter, NotFound."""
        container = self._find(request)
        keys = parameters.detach_keys(request.query.get("detachKeys", ""))
        if container.status == Status.PAUSED:
            raise Conflict(f"container {container.id} is paused, unpause the container before attach")
        if container.status == Status.RESTARTING:
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")
        return container, keys

    async def attach(self, request: Request) -> None:
        container, keys = self._attachable(request)
        stdout, stderr = request.flag("stdout"), request.flag("stderr")
        connection, initial = request.hijack(RAW if container.terminal else MULTIPLEXED)
        # Whoever is gone gets no answer.
        with connection, contextlib.suppress(ConnectionError):
            if request.flag("logs"):
                async with self._logged(container, stdout=stdout, stderr=stderr) as logged:
                    async for data in logged:
                        await self._engine.loop.sock_sendall(connection, data)
            if request.flag("stream"):
                await self._engine.shim.attach(
                    connection,
                    container.id,
                    "",
                    stdin=request.flag("stdin") and container.spec.config.open_stdin,
                    stdout=stdout,
                    stderr=stderr,
                    detach_keys=keys if request.flag("stdin") else b"",
                    initial=initial,
                )

    async def attach_websocket(self, request: Request) -> None:
        container, keys = self._attachable(request)
        # Until then all streams were attached, whatever was asked for.
        every = request.version < (1, 42)
        stdin, stdout, stderr = (every or request.flag(name) for name in ("stdin", "stdout", "stderr"))
        with (
            contextlib.closing(Bridge(request, framed=not container.terminal)) as bridge,
            contextlib.suppress(ConnectionError),
        ):
            if request.flag("logs"):
                async with self._logged(container, stdout=stdout, stderr=stderr) as logged:
                    async for data in logged:
                        await bridge.write(data)
            if request.flag("stream"):
                await self._engine.shim.attach(
                    bridge.end,
                    container.id,
                    "",
                    stdin=stdin and container.spec.config.open_stdin,
                    stdout=stdout,
                    stderr=stderr,
                    detach_keys=keys if stdin else b"",
                    initial=b"",
                )
            await bridge.run()

    def _logged(
        self, container: Container, *, stdout: bool, stderr: bool
    ) -> "contextlib.aclosing[AsyncGenerator[bytes, None]]":
        query = logs.Query(stdout=stdout, stderr=stderr)
        return contextlib.aclosing(logs.read(self._engine, container, query))

    async def resize(self, request: Request) -> Response:
        container = self._find(request)
        height, width = parameters.size(request)
        if not container.status.is_alive():
            raise Conflict(f"container {container.id} is not running")
        await self._engine.shim.ask({"op": "resize", "id": container.id, "height": height, "width": width})
        return no_content()

    async def logs(self, request: Request) -> None:
        container = self._find(request)
        stdout, stderr = request.flag("stdout"), request.flag("stderr")
        if not stdout and not stderr:
            raise InvalidParameter("Bad parameters: you must choose at least one stream")
        if container.spec.host.log_config.type == "none":
            raise InvalidParameter("configured logging driver does not support reading")
        query = logs.Query(
            stdout=stdout,
            stderr=stderr,
            follow=request.flag("follow"),
            timestamps=request.flag("timestamps"),
            since=parameters.moment(request, "since"),
            until=parameters.moment(request, "until"),
            tail=parameters.tail(request.query.get("tail", "")),
        )
        stream = await request.stream(RAW if container.terminal else MULTIPLEXED)
        async with contextlib.aclosing(logs.read(self._engine, container, query)) as logged:
            async for data in logged:
                if data:
                    await stream.write(data)

    async def top(self, request: Request) -> Response:
        container = self._find(request)
        if not container.status.is_alive():
            raise Conflict(f"container {container.id} is not running")
        words = request.query.get("ps_args", "-ef").split() or ["-ef"]
        group = cgroup.group(stop.cgroup_path(self._engine, container))
        pids = {str(pid) for pid in await self._engine.in_thread(group.pids)}
        process = await asyncio.create_subprocess_exec(
            "ps",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        )
        output, problem = await process.communicate()
        if process.returncode:
            raise InvalidParameter(f"ps: {problem.decode(errors='replace').strip()}")
        rows = output.decode(errors="replace").splitlines()
        titles = rows[0].split() if rows else []
        if "PID" not in titles:
            raise InvalidParameter("Couldn't find PID field in ps output")
        column = titles.index("PID")
        found = [row.split(None, len(titles) - 1) for row in rows[1:]]
        return document({"Titles": titles, "Processes": [row for row in found if row[column] in pids]})

    async def stats(self, request: Request) -> Response | None:
        # Rarely asked for, so imported when it is.
        from argosy.engine import stats

        container = self._find(request)
        if not request.flag("stream", default=True):
            compared = not request.flag("one-shot")
            return document(await stats.once(self._engine, container, compared=compared))
        if request.flag("one-shot"):
            raise InvalidParameter("cannot have stream=true and one-shot=true")
        stream = await request.stream()
        async with contextlib.aclosing(stats.follow(self._engine, container)) as samples:
            async for sample in samples:
                await stream.send(sample)
        return None

    async def prune(self, request: Request) -> Response:
        engine = self._engine
        filters = request.filters()
        until = parameters.until_filter(filters, time.time_ns())
        deleted = []
        reclaimed = 0
        for container in listing.prunable(engine.containers.all(), filters, until):
            try:
                usage = await engine.in_thread(engine.images.snapshotter.usage, container.id, stubs.PATHS)
                await remove.remove(engine, container)
            except (Conflict, NotFound):
                # It was started, or somebody else is removing it.
                continue
            deleted.append(container.id)
            reclaimed += usage.size
        engine.events.publish("container", "prune", "", {"reclaimed": str(reclaimed)})
        return document({"ContainersDeleted": deleted or None, "SpaceReclaimed": reclaimed})
