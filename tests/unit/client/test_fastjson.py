"""The same values as the `json` package, in both directions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.client import fastjson

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_written_reads_back(value: object) -> None:
    assert fastjson.loads(fastjson.dumps(value)) == value
    assert json.loads(fastjson.dumps(value)) == value
    assert fastjson.loads(json.dumps(value, indent=1)) == value


@pytest.mark.parametrize("text", ["", "{", "[1,", '{"a":1} x', "nul"])
def test_text_that_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        fastjson.loads(text)


def test_a_value_that_json_does_not_know_is_an_error() -> None:
    with pytest.raises(TypeError):
        fastjson.dumps({"a": object()})


def test_the_package_steps_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastjson, "_scan", fastjson._package_codec()[0])
    monkeypatch.setattr(fastjson, "_encode", fastjson._package_codec()[1])
    assert fastjson.loads(fastjson.dumps({"a": [1]})) == {"a": [1]}
