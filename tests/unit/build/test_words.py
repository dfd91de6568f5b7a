"""Variables in words, with all that may be done to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.build.complain import DockerfileError
from argosy.build.words import expand, split

ENVIRONMENT = {"V": "value", "EMPTY": "", "PATH": "/a/b/c.tar.gz", "STAR": "a*b", "N": "V"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("$V-${V}", "value-value"),
        ("$NONE|${NONE}", "|"),
        ("\\$V '$V' \"$V\"", "$V $V value"),
        ("${NONE:-x}${EMPTY:-y}${EMPTY-z}", "xy"),
        ("${V:+set}${NONE:+set}${EMPTY+there}", "setthere"),
        ("${NONE:-${V}}", "value"),
        ("${PATH#*/}", "a/b/c.tar.gz"),
        ("${PATH##*/}", "c.tar.gz"),
        ("${PATH%.*}", "/a/b/c.tar"),
        ("${PATH%%.*}", "/a/b/c"),
        ("${PATH/b/X}", "/a/X/c.tar.gz"),
        ("${PATH//a/X}", "/X/b/c.tXr.gz"),
        ("${STAR%\\*b}", "a"),
        ("$1$*", ""),
        ("a'b'\"c\"", "abc"),
    ],
)
def test_a_word_is_expanded(word: str, expected: str) -> None:
    assert expand(word, ENVIRONMENT) == expected


def test_words_are_split_where_they_are_not_quoted() -> None:
    assert split("$V 'a b' \"c d\"", {"V": "x y"}) == ["x", "y", "a b", "c d"]


@pytest.mark.parametrize(
    "word", ["${V", "${}", "'a", '"a', "${V:", "${V:!x}", "${NONE:?is needed}", "${NONE?}"]
)
def test_what_cannot_be_read_is_refused(word: str) -> None:
    with pytest.raises(DockerfileError):
        expand(word, ENVIRONMENT)


@given(st.text(max_size=30).filter(lambda text: not set(text) & set("$\\'\"")))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert expand(text, ENVIRONMENT) == text


@given(st.text(alphabet="$V{}:-+?#%/*\\'\" ab", max_size=24))
def test_no_word_is_more_than_can_be_borne(word: str) -> None:
    try:
        found = expand(word, ENVIRONMENT)
    except DockerfileError as error:
        assert error.message
    else:
        assert isinstance(found, str)
