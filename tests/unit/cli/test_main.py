"""What the program says and returns before it speaks to any engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from argosy.cli import catalogue, main
from argosy.cli.flags import Command, read_flags


@pytest.fixture(autouse=True)
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGOSY_HOST", f"unix://{tmp_path}/none.sock")


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["pss"]) == 1
    assert capsys.readouterr().err == (
        "argosy: unknown command: argosy pss\n\nDid you mean 'ps'?\n\n"
        "Run 'argosy --help' for more information\n"
    )
    assert main.run(["container", "renam"]) == 1
    assert "Did you mean 'rename'" in capsys.readouterr().err


def test_a_wrong_option_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["run", "-rm", "x"]) == 125
    assert capsys.readouterr().err == (
        "unknown shorthand flag: 'r' in -rm (did you mean --rm?)\n\n"
        "Usage:  argosy run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n"
        "Run 'argosy run --help' for more information\n"
    )


def test_missing_arguments_show_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["container", "rm"]) == 1
    assert capsys.readouterr().err == (
        "argosy: 'argosy container rm' requires at least 1 argument\n\n"
        "Usage:  argosy container rm [OPTIONS] CONTAINER [CONTAINER...]\n\n"
        "See 'argosy container rm --help' for more information\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["run", "-p", "x:x", "i"], 125, "argosy: Invalid containerPort: x\n\nRun 'argosy run --help'"),
        (["run", "--restart", "always", "--rm", "i"], 125, "cannot specify both --restart and --rm"),
        (["run", "--pull", "zz", "i"], 125, "invalid pull option: 'zz'"),
        (["run", "-d", "-a", "stdout", "i"], 1, "cannot specify both --attach and --detach"),
        (["run", "BAD"], 125, "argosy: invalid reference format: repository name (library/BAD)"),
        (["create", "BAD"], 1, "invalid reference format: repository name (library/BAD)"),
        (["inspect", "--type", "zz", "a"], 1, 'unknown type: "zz"'),
        (["inspect", "-f", "{{.x", "a"], 64, "template parsing error: template: :1: unclosed action"),
        (["cp", "a", "b"], 1, "must specify at least one container source"),
        (["ps"], 1, "Cannot connect to the Docker daemon at unix://"),
        (["--bad"], 125, "unknown flag: --bad"),
        (["-H", "gopher://x", "ps"], 1, "unable to parse docker host `gopher://x`"),
    ],
)
def test_failures(words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(words) == code
    assert text in capsys.readouterr().err


def commands() -> list[tuple[str, str]]:
    found = {f"argosy {verb}": module for verb, (module, _) in catalogue.TOP.items()}
    for noun, verbs in catalogue.GROUPS.items():
        found |= {f"argosy {noun} {verb}": module for verb, (module, _) in verbs.items()}
    return sorted(found.items())


@pytest.mark.parametrize(("path", "module"), commands())
def test_every_command_has_help_and_options_that_can_be_read(
    path: str, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*path.split()[1:], "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage:  {path}")
    assert max(map(len, text.splitlines())) <= 110
    command: Command = main._load(module).COMMAND
    flags = read_flags(command.options)
    assert set(command.hidden.values()) <= set(flags)
    shorts = [flag.short for flag in flags.values() if flag.short]
    assert len(shorts) == len(set(shorts))


def test_overviews(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == main.run(["--help"]) == main.run(["help"]) == 0
    assert "Common Commands:" in capsys.readouterr().out
    assert main.run(["volume", "--help"]) == 0
    assert "Manage volumes" in capsys.readouterr().out
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("Argosy version ")
