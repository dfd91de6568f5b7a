import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from argosy.api.http import Response
from argosy.api.router import Router
from argosy.errors import InvalidParameter, NotFound


def made(*routes: tuple[str, str, str]) -> Router:
    router = Router()
    for method, pattern, name in routes:

        async def handler(request: Any, name: str = name) -> Response:
            return Response(f"{name} {request.parameters} {request.version}".encode())

        router.add(method, pattern, handler)
    return router


def ask(router: Router, method: str, path: str) -> str:
    request: Any = SimpleNamespace(method=method, path=path, parameters={}, version=(1, 51))
    response = asyncio.run(router.handle(request))
    assert response is not None
    return response.body.decode()


ROUTES = made(
    ("GET", "/containers/json", "list"),
    ("GET", "/containers/{id}/json", "inspect"),
    ("DELETE", "/containers/{id}", "remove"),
    ("GET", "/images/{name*}/json", "image"),
)


def test_a_plain_path_comes_before_a_pattern() -> None:
    assert ask(ROUTES, "GET", "/containers/json").startswith("list {}")


def test_a_name_in_a_pattern_is_one_segment() -> None:
    assert ask(ROUTES, "GET", "/containers/web/json") == "inspect {'id': 'web'} (1, 51)"
    with pytest.raises(NotFound, match="page not found"):
        ask(ROUTES, "GET", "/containers/a/b/json")


def test_an_image_name_may_have_many_segments() -> None:
    assert ask(ROUTES, "GET", "/images/host:5000/a/b:c/json") == "image {'name': 'host:5000/a/b:c'} (1, 51)"


def test_the_method_must_fit() -> None:
    assert ask(ROUTES, "DELETE", "/containers/web").startswith("remove")
    with pytest.raises(NotFound):
        ask(ROUTES, "POST", "/containers/web")


def test_a_version_before_the_path_is_taken_off_and_kept() -> None:
    assert ask(ROUTES, "GET", "/v1.24/containers/json") == "list {} (1, 24)"
    assert ask(ROUTES, "GET", "/v1.51/containers/v1.5/json") == "inspect {'id': 'v1.5'} (1, 51)"


@pytest.mark.parametrize(
    ("version", "reason"), [("1.23", "too old"), ("1.99", "too new"), ("2.0", "too new")]
)
def test_a_version_that_is_not_spoken_is_refused_with_the_reason(version: str, reason: str) -> None:
    with pytest.raises(InvalidParameter, match=f"client version {version} is {reason}"):
        ask(ROUTES, "GET", f"/v{version}/containers/json")
