import pytest

from argosy.build.attest.asked import Asked, asked
from argosy.errors import InvalidParameter, NotImplementedYet


def test_what_buildx_asks_for_by_itself_is_nothing() -> None:
    assert not asked({"provenance": {"mode": "min", "inline-only": "true"}})
    assert not asked({"provenance": {"disabled": "true"}, "sbom": {"disabled": "true"}})


def test_both_can_be_asked_for() -> None:
    attributes = {"mode": "max", "version": "v1", "builder-id": "https://b"}
    assert asked({"provenance": attributes, "sbom": {}}) == Asked(
        provenance=True, is_full=True, version="v1", builder="https://b", sbom=True
    )


@pytest.mark.parametrize(
    "given",
    [
        {"other": {}},
        {"provenance": {"mode": "all"}},
        {"provenance": {"version": "v3"}},
        {"provenance": {"reproducible": "perhaps"}},
    ],
)
def test_what_there_is_not_is_refused(given: dict[str, dict[str, str]]) -> None:
    with pytest.raises(InvalidParameter):
        asked(given)


def test_another_generator_is_refused() -> None:
    with pytest.raises(NotImplementedYet):
        asked({"sbom": {"generator": "image"}})
