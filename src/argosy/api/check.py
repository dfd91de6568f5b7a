"""/system/check, which Docker does not have: the image store read through, message by message."""

from typing import Any

from argosy.api.http import Request
from argosy.api.router import Router
from argosy.engine.core import Engine


class Check:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def route(self, router: Router) -> None:
        router.add("POST", "/system/check", self.check)

    async def check(self, request: Request) -> None:
        """A JSON object for each thing looked at; with `repair`, content that is damaged is removed."""
        engine = self._engine
        repair = request.flag("repair")
        stream = await request.stream()

        def work() -> None:
            for found in engine.images.check(repair=repair):
                message: dict[str, Any] = {
                    "Kind": found.kind,
                    "Name": found.name,
                    "Size": found.size,
                    "Images": list(found.images),
                    "Problem": found.problem,
                    "Remedy": found.remedy,
                }
                engine.from_thread(stream.send(message))

        await engine.in_thread(work)
