import pytest

from argosy.errors import InvalidParameter
from argosy.image.goformat import parse_duration, parse_moment, parse_time, path_match

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", SECOND),
        ("1970-01-01T01:00:00.5+01:00", SECOND // 2),
        ("0001-01-01T00:00:00Z", 0),
        ("nonsense", 0),
        (None, 0),
    ],
)
def test_times(text: str | None, expected: int) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("1h30m", 5400 * SECOND), ("1.5s", 1_500_000_000), ("-2ms", -2_000_000), ("0", 0)]
)
def test_durations(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "3 s", "1x"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


def test_moments() -> None:
    now = 10_000 * SECOND
    assert parse_moment("10s", now) == now - 10 * SECOND
    assert parse_moment("5.25", now) == 5_250_000_000
    assert parse_moment("1970-01-02T00:00:00Z", now) == 86400 * SECOND
    with pytest.raises(InvalidParameter):
        parse_moment("soon", now)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("a*", "abc", True),
        ("a*", "ab/c", False),
        ("*/c", "ab/c", True),
        ("a?c", "abc", True),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        (r"\*", "*", True),
        ("a.c", "abc", False),
    ],
)
def test_patterns(pattern: str, name: str, matches: bool) -> None:
    assert path_match(pattern, name) is matches


@pytest.mark.parametrize("pattern", ["[", "[]", "a\\", "[a-"])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(InvalidParameter, match="syntax error in pattern"):
        path_match(pattern, "x")
