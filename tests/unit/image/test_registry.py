import pytest

from argosy.image.auth import Challenge, parse_challenges
from argosy.image.credentials import Credentials
from argosy.image.proxy import is_loopback
from argosy.image.reference import parse_reference
from argosy.image.registry import Registries


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="a \\"b\\""', [Challenge("basic", {"realm": 'a "b"'})]),
        (
            'Bearer realm="https://a/t",service="s",scope="a:pull,push"',
            [Challenge("bearer", {"realm": "https://a/t", "service": "s", "scope": "a:pull,push"})],
        ),
        (
            'Basic realm="x", Bearer realm=c',
            [Challenge("basic", {"realm": "x"}), Challenge("bearer", {"realm": "c"})],
        ),
        ("Negotiate", [Challenge("negotiate", {})]),
        ("", []),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, expected: list[Challenge]) -> None:
    assert list(parse_challenges(header)) == expected


@pytest.mark.parametrize(
    ("domain", "insecure"),
    [
        ("localhost:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("registry.example", False),
        ("trusted.example:5000", True),
        ("10.1.2.3:80", True),
        ("10.2.2.3", False),
    ],
)
def test_registries_that_may_be_insecure(domain: str, insecure: bool) -> None:
    registries = Registries(insecure=["trusted.example:5000", "10.1.0.0/16"])
    assert registries.is_insecure(domain) is insecure


def test_mirrors_come_before_the_hub_and_get_no_credentials() -> None:
    registries = Registries(mirrors=["https://mirror.example/cache"])
    found = list(registries.repositories(parse_reference("nginx"), Credentials("me", "pw")))
    assert [repository.is_mirror for repository in found] == [True, False]
    elsewhere = list(registries.repositories(parse_reference("localhost:5000/x"), Credentials()))
    assert [repository.is_mirror for repository in elsewhere] == [False]


def test_the_loopback_is_known() -> None:
    assert is_loopback("localhost")
    assert is_loopback("::1")
    assert not is_loopback("localhost.example")
