"""Command lines as pflag reads them, and its words for those that it cannot read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.cli.failure import Help, UsageError
from argosy.cli.flags import Command, Options, Parser, check_arguments

TEXT = """
  -d, --detach          In the background
  -e, --env list        A variable
  -i, --interactive     Keep stdin open
      --last int        How many (default -1)
  -m, --memory bytes    Memory
      --name string     Its name
  -p, --publish list    A port
      --rm              Remove it

More:
      --sig-proxy       Pass signals on (default true)
      --subnet strings  Subnets
  -t, --tty             A terminal
"""


def parse(*words: str, interspersed: bool = True) -> tuple[Options, list[str]]:
    command = Command("[OPTIONS] IMAGE", "Run", TEXT, interspersed=interspersed, hidden={"net": "name"})
    return Parser(command).parse(list(words))


def complaint(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    return caught.value.message


def test_shorthands_may_stand_together() -> None:
    options, rest = parse("-dit", "-p5000:80", "-p=81", "-p", "82", "image")
    assert options.on("detach")
    assert options.on("interactive")
    assert options.on("tty")
    assert options.many("publish") == ["5000:80", "81", "82"]
    assert rest == ["image"]


def test_a_value_may_end_a_cluster() -> None:
    options, _ = parse("-tm64m")
    assert options.on("tty")
    assert options.number("memory") == 64 << 20


def test_values_follow_or_are_joined() -> None:
    assert parse("--name=a=b")[0].text("name") == "a=b"
    assert parse("--name", "-x")[0].text("name") == "-x"
    assert parse("--name=")[0].text("name") == ""
    assert parse("--net", "x")[0].text("name") == "x"


def test_switches_take_a_value_only_when_joined() -> None:
    options, rest = parse("--rm=false", "--sig-proxy=0", "-t=false", "--detach", "true")
    assert not options.on("rm")
    assert not options.on("sig-proxy")
    assert not options.on("tty")
    assert options.on("detach")
    assert rest == ["true"]
    assert options.given == {"rm", "sig-proxy", "tty", "detach"}


def test_defaults_stand_in_the_help() -> None:
    options, _ = parse()
    assert options.number("last") == -1
    assert options.on("sig-proxy")
    assert options.many("env") == []
    assert options.given == set()


def test_lists_of_strings_split_at_commas() -> None:
    assert parse("--subnet", "a,b", "--subnet=c")[0].many("subnet") == ["a", "b", "c"]
    assert parse("-e", "A=1,2")[0].many("env") == ["A=1,2"]


def test_options_may_follow_arguments_unless_the_command_says_otherwise() -> None:
    assert parse("image", "--rm")[0].on("rm")
    options, rest = parse("image", "--rm", "-x", interspersed=False)
    assert not options.on("rm")
    assert rest == ["image", "--rm", "-x"]


def test_two_dashes_end_the_options() -> None:
    assert parse("--rm", "--", "--name", "-t")[1] == ["--name", "-t"]
    assert parse("-")[1] == ["-"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--bad"], "unknown flag: --bad"),
        (["--port", "80"], "unknown flag: --port (did you mean --publish?)"),
        (["--detch"], "unknown flag: --detch (did you mean --detach?)"),
        (["-rm"], "unknown shorthand flag: 'r' in -rm (did you mean --rm?)"),
        (["-tx"], "unknown shorthand flag: 'x' in -x"),
        (["--name"], "flag needs an argument: --name"),
        (["-tp"], "flag needs an argument: 'p' in -tp"),
        (["---x"], "bad flag syntax: ---x"),
        (["--=x"], "bad flag syntax: --=x"),
        (
            ["--rm=x"],
            'invalid argument "x" for "--rm" flag: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (["-m", "1z"], 'invalid argument "1z" for "-m, --memory" flag: invalid suffix: \'z\''),
        (
            ["--last=x"],
            'invalid argument "x" for "--last" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
    ],
)
def test_complains_in_pflags_words(words: list[str], text: str) -> None:
    assert complaint(*words) == text


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_may_stand_anywhere(word: str) -> None:
    with pytest.raises(Help):
        parse("image", word)


@pytest.mark.parametrize(
    ("arguments", "given", "text"),
    [
        ((0, 0), 1, "argosy: 'argosy x' accepts no arguments"),
        ((1, None), 0, "argosy: 'argosy x' requires at least 1 argument"),
        ((2, None), 1, "argosy: 'argosy x' requires at least 2 arguments"),
        ((1, 1), 2, "argosy: 'argosy x' requires 1 argument"),
        ((2, 2), 1, "argosy: 'argosy x' requires 2 arguments"),
        ((0, 1), 2, "argosy: 'argosy x' requires at most 1 argument"),
        ((1, 2), 0, "argosy: 'argosy x' requires at least 1 and at most 2 arguments"),
    ],
)
def test_counts_arguments(arguments: tuple[int, int | None], given: int, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_arguments(Command("", "", arguments=arguments), "argosy x", ["a"] * given)
    assert caught.value.message == text
    assert caught.value.code == 1


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    try:
        options, rest = parse(*words)
    except (UsageError, Help):
        return
    assert len(rest) <= len(words)
    assert options.given <= {
        "detach",
        "env",
        "interactive",
        "last",
        "memory",
        "name",
        "publish",
        "rm",
        "sig-proxy",
        "subnet",
        "tty",
    }


@given(st.lists(st.text(), max_size=5), st.text())
def test_values_arrive_as_they_were_given(values: list[str], name: str) -> None:
    words = [word for value in values for word in ("-e", value)]
    options, rest = parse(*words, "--name", name, "--", "image")
    assert options.many("env") == values
    assert options.text("name") == name
    assert rest == ["image"]
