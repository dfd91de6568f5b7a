"""Which files .dockerignore keeps away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.build.complain import DockerfileError
from argosy.build.ignore import Ignore, read


def ignored(text: str, path: str) -> bool:
    return Ignore(read(text)).excluded(path)


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        ("a", "a", True),
        ("a", "b/a", False),
        ("a", "a/b", True),
        ("/a/", "a", True),
        ("*.c", "x.c", True),
        ("*.c", "d/x.c", False),
        ("**/*.c", "d/e/x.c", True),
        ("**/*.c", "x.c", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("# a", "a", False),
        ("a\n!a", "a", False),
        ("a\n!a/b", "a/b", False),
        ("a\n!a/b", "a/c", True),
        ("*\n!keep", "keep", False),
        ("*\n!keep/me", "keep/other", True),
        (".", "a", False),
        ("./a", "a", True),
        ("a/../b", "b", True),
        ("\ufeffa", "a", True),
    ],
)
def test_patterns_are_dockers(patterns: str, path: str, excluded: bool) -> None:
    assert ignored(patterns, path) is excluded


def test_the_rule_that_excludes_is_known() -> None:
    rule = Ignore(read("# none\n\n*.log\n")).rule_for("x.log")
    assert rule is not None
    assert (rule.line, rule.written) == (3, "*.log")


def test_a_directory_is_skipped_only_if_nothing_in_it_comes_back() -> None:
    assert Ignore(read("a")).may_skip_directory("a")
    assert not Ignore(read("a\n!a/b")).may_skip_directory("a")
    assert not Ignore(read("a\n!**/b")).may_skip_directory("a")
    assert Ignore(read("a\n!c/b")).may_skip_directory("a")


@pytest.mark.parametrize("text", ["a\n[", "!"])
def test_a_malformed_pattern_is_named_with_its_line(text: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        Ignore(read(text))
    assert caught.value.first_line == text.count("\n") + 1


_names = st.sampled_from(["a", "b", "c.c", "*", "**", "?", "!a", "a*"])
_patterns = st.lists(st.lists(_names, min_size=1, max_size=3).map("/".join), max_size=5)
_paths = st.lists(st.sampled_from(["a", "b", "c.c"]), min_size=1, max_size=4).map("/".join)


@given(_patterns, _paths)
def test_a_skipped_directory_holds_nothing_that_is_wanted(patterns: list[str], path: str) -> None:
    try:
        ignore = Ignore(read("\n".join(patterns)))
    except DockerfileError:
        return
    directory = path.rpartition("/")[0]
    if directory and ignore.may_skip_directory(directory):
        assert ignore.excluded(path)


@given(_patterns, _paths)
def test_the_rule_agrees_with_the_verdict(patterns: list[str], path: str) -> None:
    try:
        ignore = Ignore(read("\n".join(patterns)))
    except DockerfileError:
        return
    assert (ignore.rule_for(path) is not None) == ignore.excluded(path)
