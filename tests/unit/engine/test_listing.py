from typing import Any

import pytest

from argosy.engine.container import Container
from argosy.engine.lifecycle import Status
from argosy.engine.listing import choose, has_labels, prunable
from argosy.errors import InvalidParameter, NotFound
from argosy.spec.docker_container import MountPoint

from .samples import container

DATA = MountPoint("volume", "/v/data", "/data", name="data")
WEB = container(
    "web",
    "a1" * 32,
    created=30,
    ports=[("0.0.0.0", 8080, "tcp", 80)],
    labels={"tier": "front"},
    exposed=["53/udp"],
)
DB = container("db", "b2" * 32, created=20, mounts=[DATA], network_mode="host", status=Status.PAUSED)
JOB = container(
    "job", "c3" * 32, created=10, status=Status.EXITED, exit_code=3, labels={"tier": "", "x": "y"}
)
NEW = container("new", "d4" * 32, created=5, status=Status.CREATED)
ALL = [WEB, DB, JOB, NEW]


def names(filters: dict[str, list[str]] | None = None, **options: Any) -> list[str]:
    def is_image(found: Container, text: str) -> bool:
        return text == found.name

    return [found.name for found in choose(ALL, filters or {}, is_image=is_image, **options)]


def test_what_runs_is_listed_and_the_rest_on_request() -> None:
    assert names() == ["web", "db"]
    assert names(every=True) == ["web", "db", "job", "new"]


def test_the_last_few_are_those_created_last_running_or_not() -> None:
    assert names(limit=1) == ["web"]
    assert names(limit=3) == ["web", "db", "job"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"id": ["a1a1", "c3"]}, ["web", "job"]),
        ({"name": ["^/w", "jo"]}, ["web", "job"]),
        ({"name": ["^db$"]}, ["db"]),
        ({"label": ["tier"]}, ["web", "job"]),
        ({"label": ["tier", "x=y"]}, ["job"]),
        ({"label": ["tier=front"]}, ["web"]),
        ({"status": ["exited", "created"]}, ["job", "new"]),
        ({"exited": ["3"]}, ["job"]),
        ({"exited": ["0"]}, []),
        ({"publish": ["8080"]}, ["web"]),
        ({"publish": ["53/udp"]}, []),
        ({"expose": ["50-60/udp"]}, ["web"]),
        ({"volume": ["data"]}, ["db"]),
        ({"volume": ["/data"]}, ["db"]),
        ({"network": ["host"]}, ["db"]),
        ({"before": ["db"]}, ["job", "new"]),
        ({"since": ["job"]}, ["web", "db"]),
        ({"since": ["new"], "before": ["web"]}, ["db", "job"]),
        ({"ancestor": ["web", "job"]}, ["web", "job"]),
        ({"health": ["none"]}, ["web", "db", "job", "new"]),
        ({"is-task": ["true"]}, []),
    ],
)
def test_filters_choose(filters: dict[str, list[str]], expected: list[str]) -> None:
    assert names(filters, every=True) == expected


def test_asking_for_a_status_shows_what_does_not_run() -> None:
    assert names({"status": ["exited"]}) == ["job"]
    assert names({"exited": ["3"]}) == ["job"]


@pytest.mark.parametrize(
    "filters",
    [
        {"colour": ["red"]},
        {"status": ["sunk"]},
        {"exited": ["x"]},
        {"health": ["well"]},
        {"is-task": ["x"]},
        {"publish": ["²"]},
        {"expose": ["x"]},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidParameter, match="invalid filter|error while looking up for"):
        names(filters, every=True)


def test_a_neighbour_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="No such container: ghost"):
        names({"before": ["ghost"]})


def test_labels_are_matched_by_name_or_with_their_value() -> None:
    assert has_labels({"a": "b"}, ["a", "a=b"])
    assert not has_labels({"a": "b"}, ["a=c"])
    assert not has_labels({}, ["a"])
    assert has_labels({"a": "b=c"}, ["a=b=c"])


def pruned(filters: dict[str, list[str]], until: int | None = None) -> list[str]:
    return [found.name for found in prunable(ALL, filters, until)]


def test_only_what_does_not_run_is_pruned() -> None:
    assert pruned({}) == ["job", "new"]
    assert pruned({}, until=7) == ["new"]
    assert pruned({"label": ["tier"]}) == ["job"]
    assert pruned({"label!": ["tier"]}) == ["new"]
    with pytest.raises(InvalidParameter, match="invalid filter 'name'"):
        pruned({"name": ["job"]})
