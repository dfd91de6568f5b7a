"""Kinds of values, image names, detach keys, tables and rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.cli import reference, table, values
from argosy.cli.container.rows import displayable_ports, ellipsis, quote
from argosy.cli.detach import KeyFilter, parse_keys
from argosy.cli.failure import Failure
from argosy.cli.listing import natural
from argosy.cli.network.pools import pool_configs


@pytest.mark.parametrize(
    ("text", "size"), [("64m", 64 << 20), ("1.5GiB", 3 << 29), ("4096", 4096), ("1 kb", 1024)]
)
def test_sizes(text: str, size: int) -> None:
    assert values.parse_size(text) == size
    assert values.parse_swap(text) == size


def test_swap_may_be_unlimited() -> None:
    assert values.parse_swap("-1") == -1


@pytest.mark.parametrize(
    ("text", "message"), [("1z", "invalid suffix: 'z'"), ("x", "invalid size: 'x'"), ("", "invalid size: ''")]
)
def test_sizes_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        values.parse_size(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1h30m", 5400 * 10**9), ("1.5s", 15 * 10**8), ("300ms", 3 * 10**8), ("-2s", -2 * 10**9), ("0", 0)],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert values.parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("", 'time: invalid duration ""'),
    ],
)
def test_durations_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        values.parse_duration(text)
    assert str(caught.value) == message


def test_decimals_are_exact() -> None:
    assert values.parse_decimal("1.5") == 1_500_000_000
    assert values.parse_decimal(".1") == 100_000_000
    with pytest.raises(ValueError, match="value is too precise"):
        values.parse_decimal("0.0000000001")


def test_ulimits() -> None:
    assert values.parse_ulimit("nofile=10:20") == {"Name": "nofile", "Hard": 20, "Soft": 10}
    with pytest.raises(ValueError, match="soft limit must be less than or equal to hard limit: 5 > 3"):
        values.parse_ulimit("nofile=5:3")


@pytest.mark.parametrize(
    "kind", ["bytes", "decimal", "duration", "int", "uint16", "ulimit", "host", "address"]
)
@given(text=st.text(max_size=12))
def test_any_value_is_read_or_refused(kind: str, text: str) -> None:
    try:
        values.parse(kind, text)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "familiar", "complete"),
    [
        ("busybox", "busybox:latest", "docker.io/library/busybox:latest"),
        ("user/app:1", "user/app:1", "docker.io/user/app:1"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
        ("ghcr.io/x/y:z", "ghcr.io/x/y:z", "ghcr.io/x/y:z"),
    ],
)
def test_image_names(text: str, familiar: str, complete: str) -> None:
    named = reference.parse(text).tagged()
    assert (named.familiar, named.complete) == (familiar, complete)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BAD", "invalid reference format: repository name (library/BAD) must be lowercase"),
        ("x@sha256:abc", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("", "invalid reference format"),
    ],
)
def test_image_names_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        reference.parse(text)
    assert str(caught.value) == message


def test_detach_keys() -> None:
    assert parse_keys("") == b"\x10\x11"
    assert parse_keys("ctrl-a,x,ctrl-[") == b"\x01x\x1b"
    with pytest.raises(Failure, match="Unknown character: 'ctrl-1'"):
        parse_keys("ctrl-1")


@given(st.lists(st.binary(max_size=5)), st.binary(min_size=1, max_size=3))
def test_input_passes_unchanged_until_the_keys(pieces: list[bytes], keys: bytes) -> None:
    whole = b"".join(pieces)
    watching, passed, detached = KeyFilter(keys), b"", False
    for piece in pieces:
        out, detached = watching.feed(piece)
        passed += out
        if detached:
            break
    assert whole.startswith(passed)
    if detached:
        assert whole[len(passed) :].startswith(keys)
    else:
        assert keys.startswith(whole[len(passed) :])


def test_tables_are_aligned_as_docker_aligns_them() -> None:
    assert table.render([["ID", "NAME", "LAST"], ["123456789", "x", ""]]) == (
        "ID          NAME      LAST\n123456789   x         \n"
    )
    assert table.render([]) == ""


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([(80, "0.0.0.0", 5000), (80, "::", 5000)], "0.0.0.0:5000->80/tcp, [::]:5000->80/tcp"),
        ([(80, "", 0), (81, "", 0), (83, "", 0)], "80-81/tcp, 83/tcp"),
        ([(80, "0.0.0.0", 80), (81, "0.0.0.0", 81)], "0.0.0.0:80-81->80-81/tcp"),
        ([], ""),
    ],
)
def test_ports_are_shown_as_docker_shows_them(ports: list[tuple[int, str, int]], text: str) -> None:
    documents = [
        {"PrivatePort": private, "IP": address, "PublicPort": public, "Type": "tcp"}
        for private, address, public in ports
    ]
    assert displayable_ports(documents) == text


def test_commands_are_quoted_and_cut() -> None:
    assert quote('a "b"\n\x01é') == '"a \\"b\\"\\n\\x01é"'
    assert ellipsis("abcdef", 4) == "abc…"


def test_names_sort_by_their_numbers() -> None:
    assert sorted(["n10", "n2", "a", "n2b"], key=natural) == ["a", "n2", "n2b", "n10"]


def test_pools_gather_what_lies_in_a_subnet() -> None:
    assert pool_configs(["10.1.0.0/16"], ["10.1.0.1"], ["10.1.2.0/24"], {"h": "10.1.9.9"}) == [
        {
            "Subnet": "10.1.0.0/16",
            "IPRange": "10.1.2.0/24",
            "Gateway": "10.1.0.1",
            "AuxiliaryAddresses": {"h": "10.1.9.9"},
        }
    ]
    with pytest.raises(ValueError, match=r"no matching subnet for gateway 10.9.9.9"):
        pool_configs(["10.1.0.0/16"], ["10.9.9.9"], [], {})
    with pytest.raises(ValueError, match="overlapping"):
        pool_configs(["10.1.0.0/16", "10.1.2.0/24"], [], [], {})
