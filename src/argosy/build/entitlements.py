"""Rights that a step has only if whoever builds grants them: a Dockerfile is not trusted with the host.

BuildKit's names and words (its `util/entitlements`). Every build passes `check` between its graph and its
first step, whichever way it came.
"""

from collections.abc import Collection, Iterable

from argosy.build.solver import Failure
from argosy.build.vertex import RunVertex, Vertex
from argosy.errors import Forbidden, InvalidParameter

NETWORK_HOST = "network.host"
SECURITY_INSECURE = "security.insecure"
KNOWN = (NETWORK_HOST, SECURITY_INSECURE)


def parse(names: Iterable[str]) -> frozenset[str]:
    """Raises InvalidParameter."""
    found = frozenset(names)
    for name in sorted(found.difference(KNOWN)):
        raise InvalidParameter(f"unknown entitlement {name}", hint=f"One of {', '.join(KNOWN)}")
    return found


def check(vertices: Iterable[Vertex], granted: Collection[str]) -> None:
    """Raises Failure, of the first step that needs a right which is not granted."""
    for vertex in vertices:
        if isinstance(vertex, RunVertex):
            for right in _needed(vertex):
                if right not in granted:
                    refusal = Forbidden(f"{right} is not allowed", hint=f"Allow it: --allow {right}")
                    raise Failure(vertex, refusal)


def _needed(vertex: RunVertex) -> Iterable[str]:
    if vertex.network == "host":
        yield NETWORK_HOST
    if vertex.security == "insecure":
        yield SECURITY_INSECURE
