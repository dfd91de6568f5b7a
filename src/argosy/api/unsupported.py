"""What Docker has and this engine has not yet: answered with 501 and a word, not with "page not found"."""

from argosy.api.http import Request, Response
from argosy.api.router import Router
from argosy.errors import NotImplementedYet

_OPERATIONS = (
    ("POST", "/networks/{id}/connect", "networks of one's own"),
    ("POST", "/networks/{id}/disconnect", "networks of one's own"),
    ("GET", "/plugins", "plugins"),
    ("GET", "/swarm", "swarm mode"),
    ("GET", "/services", "swarm mode"),
    ("GET", "/nodes", "swarm mode"),
)


def route(router: Router) -> None:
    for method, pattern, what in _OPERATIONS:
        router.add(method, pattern, _Refusal(what))


class _Refusal:
    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, request: Request) -> Response:
        raise NotImplementedYet(f"this engine does not do that yet: {self._what}")
