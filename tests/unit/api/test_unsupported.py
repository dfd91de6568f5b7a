"""Operations that are not there yet say so."""

import asyncio

import pytest

from argosy.api import unsupported
from argosy.api.http import Request
from argosy.api.router import Router
from argosy.errors import NotImplementedYet


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1.51/plugins"), ("GET", "/swarm"), ("POST", "/networks/a/connect")],
)
def test_it_is_refused_by_name_and_not_as_an_unknown_page(method: str, path: str) -> None:
    router = Router()
    unsupported.route(router)
    request = Request.__new__(Request)
    request.method, request.path = method, path
    with pytest.raises(NotImplementedYet, match="does not do that yet"):
        asyncio.run(router.handle(request))
