import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.units import (
    format_binary,
    format_bytes,
    human_duration,
    parse_bytes,
    rfc3339,
    rfc3339_fixed,
)

MINUTE, HOUR = 60, 3600
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("4096", 4096),
        ("4096b", 4096),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64mb", 64 << 20),
        ("64MiB", 64 << 20),
        ("1.5GiB", 3 << 29),
        (" 2 k ", 2048),
        ("1t", 1 << 40),
        ("1p", 1 << 50),
    ],
)
def test_a_size_is_read_with_binary_prefixes(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "-1",
        "-5m",
        "5x",
        "1e3",
        "b",
        "1bb",
        "1ki",
        "12mm",
        "inf",
        "nan",
        "1_000",
        "9" * 400,
        "1.2.3",
        "٣",
    ],
)
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size") as refused:
        parse_bytes(text)
    assert f"'{text}'" in str(refused.value)


@given(st.text())
def test_reading_a_size_gives_a_natural_number_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_bytes(text) >= 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234567, "1.235MB"),
        (5 * 10**9, "5GB"),
        (2 * 10**18, "2000PB"),
    ],
)
def test_a_size_is_shown_with_decimal_prefixes(size: int, expected: str) -> None:
    assert format_bytes(size) == expected


def test_fewer_digits_are_shown_on_request() -> None:
    assert format_bytes(1234567, 3) == "1.23MB"


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0B"), (1 << 20, "1MiB"), (1536, "1.5KiB"), (3 << 30, "3GiB")]
)
def test_memory_is_shown_with_binary_prefixes(size: int, expected: str) -> None:
    assert format_binary(size) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "Less than a second"),
        (0.99, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_a_duration_is_rounded_as_docker_rounds_it(seconds: float, expected: str) -> None:
    assert human_duration(seconds) == expected


def test_a_time_drops_the_zeros_at_its_end() -> None:
    second = 1_767_323_045 * 10**9
    assert rfc3339(second) == "2026-01-02T03:04:05Z"
    assert rfc3339(second + 120_000_000) == "2026-01-02T03:04:05.12Z"
    assert rfc3339(second + 1) == "2026-01-02T03:04:05.000000001Z"


def test_no_time_is_gos_zero_time() -> None:
    assert rfc3339(0) == "0001-01-01T00:00:00Z"


@given(st.integers(min_value=1, max_value=4 * 10**18))
def test_the_fixed_form_always_has_nine_digits_and_agrees_with_the_short_one(moment: int) -> None:
    fixed = rfc3339_fixed(moment)
    assert len(fixed) == len("2026-01-02T03:04:05.123456789Z")
    assert rfc3339(moment) == fixed[:-1].rstrip("0").rstrip(".") + "Z"
