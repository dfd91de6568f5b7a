"""Rights that a step has only if they are granted."""

import pytest

from argosy.build import entitlements
from argosy.build.dockerfile import parse
from argosy.build.graph import Base, Graph, Options
from argosy.build.solver import Failure
from argosy.errors import InvalidParameter
from argosy.spec import oci_image

DOCKERFILE = """FROM busybox AS unused
RUN --security=insecure --network=host true
FROM busybox AS net
RUN --network=host true
FROM busybox AS root
RUN --security=insecure true
FROM busybox AS plain
RUN --network=none true
FROM net AS both
COPY --from=root /x /x
"""


def refused(target: str, *granted: str, network: str = "default") -> str:
    """What is not allowed, and at which line."""
    image = oci_image.Image(config=oci_image.ImageConfig())
    options = Options(target=target, network=network)
    graph = Graph(parse(DOCKERFILE.encode(), "Dockerfile"), options, lambda *_: Base("busybox", image))
    try:
        entitlements.check(graph.vertices, granted)
    except Failure as failure:
        assert failure.status == 403 and failure.vertex.lines is not None
        return f"{failure.message} ({failure.vertex.lines.first})"
    return ""


@pytest.mark.parametrize(
    ("target", "granted", "expected"),
    [
        ("net", (), "network.host is not allowed (4)"),
        ("net", ("security.insecure",), "network.host is not allowed (4)"),
        ("net", ("network.host",), ""),
        ("root", (), "security.insecure is not allowed (6)"),
        ("root", ("network.host",), "security.insecure is not allowed (6)"),
        ("both", ("network.host",), "security.insecure is not allowed (6)"),
        ("both", ("network.host", "security.insecure"), ""),
        ("plain", (), ""),
    ],
)
def test_a_step_that_the_target_needs_has_what_is_granted_and_no_more(
    target: str, granted: tuple[str, ...], expected: str
) -> None:
    assert refused(target, *granted) == expected


def test_the_network_of_all_steps_is_the_hosts_only_if_that_is_granted() -> None:
    assert refused("both", network="host").startswith("network.host is not allowed")
    assert refused("plain", network="host") == ""


def test_what_is_no_entitlement_cannot_be_granted() -> None:
    assert entitlements.parse(["network.host"]) == {"network.host"}
    with pytest.raises(InvalidParameter, match="unknown entitlement root"):
        entitlements.parse(["root"])
