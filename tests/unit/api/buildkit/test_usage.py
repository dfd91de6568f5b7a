import pytest

from argosy.api.buildkit.usage import _matches
from argosy.build.usage import Entry
from argosy.errors import InvalidParameter


def _entry(**more: object) -> Entry:
    given: dict[str, object] = {
        "id": "abc", "kind": "regular", "description": "RUN make", "parents": [], "size": 1, "created": 0,
        "last_used": 0, "uses": 1, "in_use": False, "shared": False, "remove": lambda: None,
    }  # fmt: skip
    return Entry(**{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ([], True),
        ([""], True),
        (["type==regular"], True),
        (["type==source.local"], False),
        (["type==source.local,type==exec.cachemount"], False),
        (["type==source.local", "type==regular"], True),
        (["type!=regular"], False),
        (["description~=make"], True),
        (["description~=^make"], False),
        (["inuse"], False),
        (["private"], True),
        (["immutable", "shared"], True),
        (['id=="abc"'], True),
    ],
)
def test_filters_choose_as_containerds_do(filters: list[str], fits: bool) -> None:
    assert _matches(_entry(), filters) is fits


@pytest.mark.parametrize("text", ["nonsense==1", "type=x", "description~=("])
def test_a_filter_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        _matches(_entry(), [text])
