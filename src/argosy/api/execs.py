"""/exec, and /containers/{id}/exec."""

import contextlib

from argosy.api import parameters
from argosy.api.http import MULTIPLEXED, Request, Response, document, no_content
from argosy.api.router import Router
from argosy.engine.core import Engine
from argosy.engine.execs import Executions
from argosy.engine.shim_link import ShimError
from argosy.errors import Conflict
from argosy.spec.docker_container import ExecConfig, ExecStart

RAW = "application/vnd.docker.raw-stream"


class Execs:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._executions = Executions(engine)

    def route(self, router: Router) -> None:
        router.add("POST", "/containers/{id}/exec", self.create)
        router.add("POST", "/exec/{id}/start", self.start)
        router.add("POST", "/exec/{id}/resize", self.resize)
        router.add("GET", "/exec/{id}/json", self.inspect)

    async def create(self, request: Request) -> Response:
        container = self._engine.containers.find(request.parameters["id"])
        config = await request.json(ExecConfig)
        parameters.detach_keys(config.detach_keys)
        await self._executions.check_user(container, config.user)
        return document({"Id": self._executions.create(container, config).id}, 201)

    async def start(self, request: Request) -> Response | None:
        execution = self._executions.find(request.parameters["id"])
        body = await request.json(ExecStart)
        config = execution.config
        self._executions.claim(execution)
        if body.detach:
            await self._executions.start(execution, body.console_size)
            return Response()
        connection, initial = request.hijack(RAW if config.tty else MULTIPLEXED)
        with connection:
            keys = parameters.detach_keys(config.detach_keys) if config.attach_stdin else b""
            await self._executions.attach(execution, connection, keys, initial)
            # What cannot be executed the shim tells the client.
            with contextlib.suppress(ShimError):
                await self._executions.start(execution, body.console_size)
        return None

    async def resize(self, request: Request) -> Response:
        execution = self._executions.find(request.parameters["id"])
        height, width = parameters.size(request)
        if not execution.running:
            raise Conflict(f"exec process {execution.id} is not running")
        await self._engine.shim.ask(
            {
                "op": "resize",
                "id": execution.container.id,
                "exec": execution.id,
                "height": height,
                "width": width,
            }
        )
        return no_content()

    async def inspect(self, request: Request) -> Response:
        execution = self._executions.find(request.parameters["id"])
        if execution.running:
            # Its client has seen the end of the output, so its exit is on the way: let it come in first.
            await self._engine.shim.ask({"op": "ping"})
        return document(self._executions.inspect(execution))
