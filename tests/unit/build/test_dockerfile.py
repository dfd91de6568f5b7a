"""From text to instructions, as BuildKit's parser takes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.build.complain import DockerfileError
from argosy.build.dockerfile import parse
from argosy.build.interpret import stages


def only(text: str) -> tuple[str, tuple[str, ...]]:
    (node,) = parse(text).nodes
    return node.name, node.arguments


def test_a_line_is_one_instruction_and_comments_are_none() -> None:
    nodes = parse("# c\nFROM a\n\n  # c\nrun x # y\n").nodes
    assert [(node.name, node.first_line) for node in nodes] == [("from", 2), ("run", 5)]
    assert nodes[1].arguments == ("x # y",)


@pytest.mark.parametrize(
    "text", ["RUN a \\\nb", "RUN a \\\n# c\nb", "RUN a \\\n\nb", "RUN a \\  \nb", "# escape=`\nRUN a `\nb"]
)
def test_an_escaped_line_break_goes_on(text: str) -> None:
    assert only(text) == ("run", ("a b",))


def test_directives_count_only_at_the_top() -> None:
    found = parse("# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all\nFROM a\n")
    assert (found.syntax, found.escape, found.check) == ("docker/dockerfile:1", "`", "skip=all")
    assert parse("FROM a\n# escape=`\n").escape == "\\"
    assert parse("# a comment\n# escape=`\nFROM a\n").escape == "\\"


def test_json_is_a_list_and_anything_near_it_is_text() -> None:
    (node,) = parse('CMD ["a", "b c"]').nodes
    assert (node.is_json, node.arguments) == (True, ("a", "b c"))
    (node,) = parse("CMD ['a']").nodes
    assert (node.is_json, node.arguments) == (False, ("['a']",))


def test_heredocs_belong_to_their_instruction_as_they_stand() -> None:
    (node,) = parse('COPY <<A <<-"B" /d/\n# one\n\tx\nA\n\ttwo\nB\n').nodes
    first, second = node.heredocs
    assert (first.content, first.expand) == ("# one\n\tx\n", True)
    assert (second.chomped, second.expand) == ("two\n", False)
    assert node.last_line == 6


def test_a_heredoc_without_an_end_is_named() -> None:
    with pytest.raises(DockerfileError, match="unterminated heredoc"):
        parse("FROM a\nRUN <<EOF\nx\n")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 0, "cannot be empty"),
        ("# only this\n", 1, "no instructions"),
        ("FROM a\nRUNN x\n", 2, "did you mean RUN?"),
        ("RUN x\n", 1, "no build stage in current context"),
        ("FROM a AS\n", 1, "requires either one or three arguments"),
        ("FROM a\nCOPY x\n", 2, "requires at least two arguments"),
        ("FROM a\nENV x\n", 2, "ENV must have two arguments"),
        ("FROM a\nCOPY --chwon=1 a b\n", 2, "did you mean chown?"),
        ("FROM a\nONBUILD FROM b\n", 2, "isn't allowed as an ONBUILD trigger"),
        ("FROM a\nHEALTHCHECK --interval=x CMD y\n", 2, "invalid duration"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        stages(parse(text))
    assert said in caught.value.message + caught.value.hint
    assert caught.value.first_line == line


@given(st.text(alphabet="FROM RUN COPY <<EOF=\"'$\\{}[]#-\n\t`a", max_size=80))
def test_no_text_is_more_than_the_parser_can_bear(text: str) -> None:
    try:
        stages(parse(text))
    except DockerfileError as error:
        assert error.message


@given(st.binary(max_size=60))
def test_no_bytes_are_either(data: bytes) -> None:
    try:
        found = parse(data)
    except DockerfileError:
        return
    assert found.source.encode("utf-8", "surrogateescape") == data


@given(st.lists(st.sampled_from(["a", "b b", "c\\d", "e$f"]), min_size=1, max_size=6))
def test_every_instruction_has_the_lines_that_it_stands_on(words: list[str]) -> None:
    text = "FROM x\n" + "".join(f"RUN {word} \\\n  more\n" for word in words)
    nodes = parse(text).nodes[1:]
    assert [(node.first_line, node.last_line) for node in nodes] == [
        (2 + 2 * n, 3 + 2 * n) for n in range(len(words))
    ]
