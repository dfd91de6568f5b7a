"""What health checks make of a container's health."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.engine.container import Check, Health
from argosy.engine.health import HEALTHY, STARTING, UNHEALTHY, command, judged, pause_before
from argosy.spec.docker_container import Healthcheck
from argosy.units import NANOSECONDS


def after(codes: list[int], check: Healthcheck, *, apart: int = NANOSECONDS) -> Health:
    """Checks a second apart, from the start of the container on."""
    health = Health(STARTING)
    for number, code in enumerate(codes):
        health = judged(health, check, Check(number * apart, number * apart, code), started_at=0)
    return health


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ([], STARTING, 0),
        ([0], HEALTHY, 0),
        ([1, 1], STARTING, 2),
        ([1, 1, 1], UNHEALTHY, 3),
        ([0, 1, 1], HEALTHY, 2),
        ([0, 1, 1, 1], UNHEALTHY, 3),
        ([1, 1, 1, 0], HEALTHY, 0),
    ],
)
def test_failures_in_a_row_count(codes: list[int], status: str, streak: int) -> None:
    health = after(codes, Healthcheck(test=["CMD", "x"]))
    assert (health.status, health.failing_streak) == (status, streak)


def test_failures_while_it_starts_do_not_count_until_it_has_been_healthy() -> None:
    check = Healthcheck(test=["CMD", "x"], retries=2, start_period=10 * NANOSECONDS)
    assert after([1] * 9, check) == after([1] * 9, check)
    assert after([1] * 9, check).status == STARTING
    assert after([1] * 12, check).status == UNHEALTHY
    assert after([1, 0, 1, 1], check).status == UNHEALTHY


@given(st.lists(st.integers(0, 2), max_size=20), st.integers(0, 5))
def test_the_last_five_results_are_kept(codes: list[int], retries: int) -> None:
    health = after(codes, Healthcheck(test=["CMD", "x"], retries=retries))
    assert [check.exit_code for check in health.log] == codes[-5:]
    assert (health.status == HEALTHY) <= (0 in codes)


def test_a_container_that_starts_is_looked_at_more_often() -> None:
    check = Healthcheck(start_period=10 * NANOSECONDS, start_interval=NANOSECONDS, interval=7 * NANOSECONDS)
    assert pause_before(Health(STARTING), check, now=0, started_at=0) == 1
    assert pause_before(Health(HEALTHY), check, now=0, started_at=0) == 7
    assert pause_before(Health(STARTING), check, now=11 * NANOSECONDS, started_at=0) == 7
    assert pause_before(Health(STARTING), Healthcheck(), now=0, started_at=0) == 30


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (None, []),
        ([], []),
        (["NONE"], []),
        (["CMD", "a", "b"], ["a", "b"]),
        (["CMD-SHELL", "a && b"], ["/bin/sh", "-c", "a && b"]),
        (["CMD-SHELL"], []),
    ],
)
def test_what_is_run(test: list[str] | None, expected: list[str]) -> None:
    assert command(Healthcheck(test=test), None) == expected


def test_the_images_own_shell_is_used() -> None:
    assert command(Healthcheck(test=["CMD-SHELL", "x"]), ["/bin/ash", "-ec"]) == ["/bin/ash", "-ec", "x"]
