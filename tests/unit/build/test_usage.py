"""What of the build cache goes, and what stays."""

import functools
import time
from dataclasses import replace

import pytest

from argosy.build.usage import Entry, Limits, Usage, chosen
from argosy.errors import InvalidParameter

HOUR = 3600 * 10**9
NOW = 1_000 * HOUR


def entry(identifier: str, *, size: int = 10, age: int = 1, kind: str = "exec.cachemount") -> Entry:
    used = NOW - age * HOUR
    return Entry(identifier, kind, f"RUN {identifier}", [], size, used, used, 1, False, False, lambda: None)


class Kept(Usage):
    """Of entries that are only said to be there."""

    def __init__(self, *entries: Entry) -> None:
        self.left = {each.id: each for each in entries}

    def entries(self) -> list[Entry]:
        return [
            replace(each, remove=functools.partial(self.left.pop, each.id)) for each in self.left.values()
        ]


def test_all_goes_when_nothing_is_said() -> None:
    usage = Kept(entry("a"), entry("b"))
    removed, freed = usage.prune({})
    assert {each.id for each in removed} == {"a", "b"}
    assert (freed, usage.left) == (20, {})


def test_the_longest_unused_goes_first_and_no_more_than_is_needed() -> None:
    usage = Kept(entry("new", age=1), entry("old", age=3), entry("middle", age=2))
    usage.prune({}, limits=Limits(most=15))
    assert list(usage.left) == ["new"]
    usage.prune({}, limits=Limits(most=15))
    assert list(usage.left) == ["new"]


def test_what_is_reserved_stays_whatever_is_asked() -> None:
    usage = Kept(entry("a", age=3), entry("b", age=2), entry("c", age=1))
    usage.prune({}, limits=Limits(reserved=20, most=1))
    assert list(usage.left) == ["b", "c"]


def test_what_is_in_use_stays_and_what_images_have_unless_asked() -> None:
    usage = Kept(replace(entry("busy"), in_use=True), replace(entry("shared"), shared=True))
    usage.prune({}, every=False)
    assert list(usage.left) == ["busy", "shared"]
    usage.prune({}, every=True)
    assert list(usage.left) == ["busy"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"id": ["a"]}, ["a"]),
        ({"type": ["regular"]}, ["b"]),
        ({"description": ["RUN b"]}, ["b"]),
        ({"until": ["90m"]}, ["b"]),
        ({"unused-for": ["3h"]}, []),
        ({"inuse": ["false"], "type": ["regular", "exec.cachemount"]}, ["a", "b"]),
        ({"shared": ["true"]}, []),
        ({"private": ["true"]}, ["a", "b"]),
    ],
)
def test_filters_choose(filters: dict[str, list[str]], found: list[str]) -> None:
    entries = [entry("a", age=1), entry("b", age=2, kind="regular")]
    assert [each.id for each in chosen(entries, filters, NOW)] == found


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="invalid filter 'colour'"):
        chosen([], {"colour": ["red"]}, time.time_ns())
