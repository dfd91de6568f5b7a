import itertools

import pytest

from argosy.engine.lifecycle import TRANSITIONS, Event, Status, after


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_every_way_is_in_the_table_or_does_not_exist(status: Status, event: Event) -> None:
    if (status, event) in TRANSITIONS:
        assert after(status, event) == TRANSITIONS[status, event]
    else:
        with pytest.raises(ValueError, match=f"a container that is {status} cannot {event}"):
            after(status, event)


def test_every_status_can_be_reached_from_created() -> None:
    reached = {Status.CREATED}
    for _ in Status:
        reached |= {to for (status, _), to in TRANSITIONS.items() if status in reached}
    assert reached == set(Status)


def test_from_every_status_a_container_can_end_up_removed() -> None:
    leads = {Status.REMOVING}
    for _ in Status:
        leads |= {status for (status, _), to in TRANSITIONS.items() if to in leads}
    assert leads == set(Status)


def test_nothing_comes_back_from_its_removal() -> None:
    assert {to for (status, _), to in TRANSITIONS.items() if status == Status.REMOVING} == {Status.REMOVING}


@pytest.mark.parametrize("status", list(Status))
def test_only_what_has_no_process_can_start_or_be_removed(status: Status) -> None:
    if status.is_alive():
        assert not status.can_start()
        assert (status, Event.REMOVE) not in TRANSITIONS
        assert after(status, Event.EXIT) == Status.EXITED
    else:
        assert (status, Event.EXIT) not in TRANSITIONS
        assert after(status, Event.REMOVE) == Status.REMOVING


def test_what_waits_to_restart_counts_as_running_and_has_no_process() -> None:
    assert Status.RESTARTING.is_running()
    assert not Status.RESTARTING.is_alive()


def test_every_way_is_of_use_to_some_status() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)
