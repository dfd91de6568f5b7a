"""Limits that make sense on this host, and those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.engine import limits
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import HostConfig


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (HostConfig(memory_reservation=1 << 20), "Minimum memory reservation allowed is 6MB"),
        (HostConfig(memory_swappiness=101), "valid memory swappiness range is 0-100"),
        (HostConfig(cpu_shares=-1), "value must be a positive integer"),
        (HostConfig(cpu_shares=1), "the minimum allowed cpu-shares is 2"),
        (HostConfig(cpu_period=5), "CPU cfs period can not be less than 1ms"),
        (HostConfig(cpu_quota=5), "CPU cfs quota can not be less than 1ms"),
        (HostConfig(cpu_realtime_period=1, cpu_realtime_runtime=2), "cannot be higher than cpu real-time period"),
        (HostConfig(cpuset_cpus="8000"), "Requested CPUs are not available - requested 8000"),
        (HostConfig(cpuset_cpus="x"), "Invalid value x for cpuset cpus: invalid format: x"),
        (HostConfig(cpuset_mems="700"), "Requested memory nodes are not available"),
        (HostConfig(oom_score_adj=1001), r"range for oom score adj is \[-1000, 1000\]"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(host: HostConfig, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        limits.check(host)


def test_what_is_not_asked_for_is_not_complained_of() -> None:
    assert limits.check(HostConfig()) == []


@given(st.sets(st.integers(0, 8191), min_size=1))
def test_a_set_is_read_as_the_kernel_writes_it(numbers: set[int]) -> None:
    assert limits.parse_set(",".join(map(str, sorted(numbers)))) == numbers
    assert limits.parse_set(f"{min(numbers)}-{max(numbers)}") == set(range(min(numbers), max(numbers) + 1))


@pytest.mark.parametrize("text", ["x", "1-", "-1", "3-1", "1,,2", "9000"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid format|value of out range"):
        limits.parse_set(text)
