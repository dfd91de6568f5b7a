import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.engine.lifecycle import Status
from argosy.engine.restart import check, delay_before_restart, starts_with_engine
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import RestartPolicy

POLICIES = st.one_of(
    st.sampled_from(["", "no", "always", "unless-stopped"]).map(RestartPolicy),
    st.integers(0, 5).map(lambda count: RestartPolicy("on-failure", count)),
)


@st.composite
def ends(draw: st.DrawFn) -> dict[str, object]:
    return {
        "exit_code": draw(st.integers(0, 255)),
        "restarts": draw(st.integers(0, 10)),
        "stopped_by_user": draw(st.booleans()),
        "last_delay": draw(st.sampled_from([0.0, 0.1, 0.2, 12.8, 51.2, 60.0])),
        "ran": draw(st.floats(0, 100)),
    }


@given(POLICIES, ends())
def test_what_its_user_stopped_stays_down(policy: RestartPolicy, end: dict[str, object]) -> None:
    assert delay_before_restart(policy, **{**end, "stopped_by_user": True}) is None  # type: ignore[arg-type]


@given(POLICIES, ends())
def test_a_delay_is_between_a_tenth_of_a_second_and_a_minute(
    policy: RestartPolicy, end: dict[str, object]
) -> None:
    delay = delay_before_restart(policy, **end)  # type: ignore[arg-type]
    assert delay is None or 0.1 <= delay <= 60


@given(ends())
def test_always_and_unless_stopped_do_not_care_how_it_ended(end: dict[str, object]) -> None:
    end = {**end, "stopped_by_user": False}
    for name in ("always", "unless-stopped"):
        assert delay_before_restart(RestartPolicy(name), **end) is not None  # type: ignore[arg-type]
    assert delay_before_restart(RestartPolicy("no"), **end) is None  # type: ignore[arg-type]


@given(ends(), st.integers(0, 5))
def test_on_failure_restarts_after_failures_and_so_often(end: dict[str, object], count: int) -> None:
    end = {**end, "stopped_by_user": False}
    delay = delay_before_restart(RestartPolicy("on-failure", count), **end)  # type: ignore[arg-type]
    restarts = end["restarts"]
    assert isinstance(restarts, int)
    assert (delay is not None) == (end["exit_code"] != 0 and (not count or restarts < count))


def test_each_delay_is_twice_the_last_up_to_a_minute() -> None:
    delays = [0.0]
    for _ in range(11):
        delay = delay_before_restart(
            RestartPolicy("always"),
            exit_code=1,
            restarts=0,
            stopped_by_user=False,
            last_delay=delays[-1],
            ran=0.1,
        )
        assert delay is not None
        delays.append(delay)
    assert delays[1:4] == [0.1, 0.2, 0.4]
    assert delays[-1] == 60


def test_who_has_run_for_long_begins_with_the_first_delay_again() -> None:
    delay = delay_before_restart(
        RestartPolicy("always"), exit_code=1, restarts=9, stopped_by_user=False, last_delay=51.2, ran=10.0
    )
    assert delay == 0.1


@pytest.mark.parametrize("name", ["", "no", "always", "unless-stopped", "on-failure"])
def test_dockers_policies_are_known(name: str) -> None:
    check(RestartPolicy(name))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (RestartPolicy("sometimes"), "unknown policy 'sometimes'"),
        (RestartPolicy("on-failure", -1), "maximum retry count cannot be negative"),
        (RestartPolicy("always", 3), "maximum retry count can only be used with 'on-failure'"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy: RestartPolicy, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        check(policy)


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("stopped", [True, False])
def test_what_starts_with_the_engine_was_once_started(status: Status, stopped: bool) -> None:
    def starts(name: str) -> bool:
        return starts_with_engine(RestartPolicy(name), status=status, stopped_by_user=stopped)

    once = status != Status.CREATED
    assert starts("always") == once
    assert starts("unless-stopped") == (once and not stopped)
    assert not starts("no")
    assert not starts("")
