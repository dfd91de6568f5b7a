"""Which handler answers which method and path."""

import re
from collections.abc import Awaitable, Callable

from argosy.api.http import Request, Response
from argosy.engine.settings import API_VERSION, MIN_API_VERSION
from argosy.errors import InvalidParameter, NotFound

Route = Callable[[Request], Awaitable[Response | None]]
_VERSION = re.compile(r"/v(\d+)\.(\d+)(/.*)")
_MAXIMUM = tuple(int(part) for part in API_VERSION.split("."))
_MINIMUM = tuple(int(part) for part in MIN_API_VERSION.split("."))


class Router:
    """A pattern's `{name}` matches one segment of the path, `{name*}` any number of them."""

    def __init__(self) -> None:
        self._plain: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Route]] = []

    def add(self, method: str, pattern: str, route: Route) -> None:
        if "{" not in pattern:
            self._plain[method, pattern] = route
            return
        expression = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", pattern)
        expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", expression)
        self._patterns.append((method, re.compile(expression), route))

    async def handle(self, request: Request) -> Response | None:
        """Raises NotFound, InvalidParameter for a version that is not spoken."""
        versioned = _VERSION.fullmatch(request.path)
        path = request.path
        if versioned:
            request.version = (int(versioned[1]), int(versioned[2]))
            path = versioned[3]
            _check_version(request.version)
        route = self._plain.get((request.method, path))
        if route is not None:
            return await route(request)
        for method, pattern, candidate in self._patterns:
            if method == request.method and (found := pattern.fullmatch(path)):
                request.parameters = found.groupdict()
                return await candidate(request)
        raise NotFound("page not found")


def _check_version(version: tuple[int, int]) -> None:
    spoken = f"{version[0]}.{version[1]}"
    if version > _MAXIMUM:
        raise InvalidParameter(
            f"client version {spoken} is too new. Maximum supported API version is {API_VERSION}"
        )
    if version < _MINIMUM:
        raise InvalidParameter(
            f"client version {spoken} is too old. Minimum supported API version is {MIN_API_VERSION}, please "
            "upgrade your client to a newer version"
        )
