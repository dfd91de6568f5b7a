import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.api import parameters
from argosy.errors import InvalidParameter


def query(**values: str) -> Any:
    def number(name: str) -> int | None:
        return int(values[name]) if values.get(name) else None

    return SimpleNamespace(query=values, number=number)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b"\x10\x11"),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-a", b"\x01"),
        ("ctrl-z,x", b"\x1ax"),
        ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1b\x1c\x1d\x1e\x1f"),
        ("a,b", b"ab"),
    ],
)
def test_detach_keys_are_letters_or_with_control(text: str, keys: bytes) -> None:
    assert parameters.detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ab", "ctrl-1", "alt-x", "ab", ",", "a,,b", "ctrl-A"])
def test_keys_that_cannot_be_typed_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid detach keys"):
        parameters.detach_keys(text)


@given(st.text(max_size=12))
def test_whatever_is_typed_is_keys_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidParameter):
        assert parameters.detach_keys(text)


def test_a_size_is_height_and_width() -> None:
    assert parameters.size(query(h="24", w="80")) == (24, 80)
    for values in ({"h": "24"}, {"h": "24", "w": "65536"}, {"h": "-1", "w": "80"}):
        with pytest.raises(InvalidParameter, match="invalid resize"):
            parameters.size(query(**values))


@pytest.mark.parametrize(
    ("text", "lines"), [("", -1), ("all", -1), ("0", 0), ("12", 12), ("-3", -1), ("²", -1)]
)
def test_a_tail_is_a_number_of_lines_or_all(text: str, lines: int) -> None:
    assert parameters.tail(text) == lines


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("", 0), ("0", 0), ("1", 10**9), ("1.5", 15 * 10**8), ("1700000000.123456789", 1700000000123456789)],
)
def test_a_moment_is_exact_to_the_nanosecond(text: str, nanoseconds: int) -> None:
    assert parameters.moment(query(since=text), "since") == nanoseconds


@pytest.mark.parametrize("text", ["x", "NaN", "Infinity", "1h"])
def test_a_moment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid value for since"):
        parameters.moment(query(since=text), "since")


def test_one_until_filter_is_enough() -> None:
    assert parameters.until_filter({}, 0) is None
    assert parameters.until_filter({"until": ["1h"]}, 3600 * 10**9 + 5) == 5
    with pytest.raises(InvalidParameter, match="more than one"):
        parameters.until_filter({"until": ["1h", "2h"]}, 0)
