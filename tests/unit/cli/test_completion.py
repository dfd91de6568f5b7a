"""What may come next on a command line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from argosy.cli.completion import FILES, candidates
from argosy.cli.system.completion import _SCRIPTS

THINGS = {
    "running": ["web"],
    "stopped": ["old"],
    "paused": ["still"],
    "containers": ["old", "web"],
    "images": ["busybox", "busybox:latest", "registry:5000/app:1"],
    "networks": ["bridge", "own"],
    "volumes": ["data"],
    "objects": ["web", "busybox"],
    "contexts": ["default", "far"],
}


def names(line: str) -> list[str]:
    """Of a command line without its first word; what stands after the last blank is begun."""
    *words, current = line.split(" ")
    return [
        name for name, _ in candidates([word for word in words if word], current, lambda kind: THINGS[kind])
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ru", ["run"]),
        ("-H x ru", ["run"]),
        ("help ru", ["run"]),
        ("container pru", ["prune"]),
        ("container nothing ", []),
        ("nothing ", []),
        ("stop ", ["web"]),
        ("start ", ["old"]),
        ("unpause ", ["still"]),
        ("container remove ", ["old", "web"]),
        ("container rm ", ["old", "web"]),
        ("rm -f web ", ["old", "web"]),
        ("exec ", ["web"]),
        ("exec web ", [FILES]),
        ("run busy", ["busybox", "busybox:latest"]),
        ("run --rm -it registry:5000/", ["registry:5000/app:1"]),
        ("run --rm busybox -", [FILES]),
        ("run --na", ["--name"]),
        ("run --name ", []),
        ("run --name x bu", ["busybox", "busybox:latest"]),
        ("run --pull ", ["always", "missing", "never"]),
        ("run --pull=m", ["--pull=missing"]),
        ("run --network ", ["bridge", "own", "host", "none"]),
        ("run --cap-add SYS_AD", ["SYS_ADMIN"]),
        ("run --env-file ", [FILES]),
        ("run -v ", [FILES]),
        ("run -dv ", [FILES]),
        ("run -itd bu", ["busybox", "busybox:latest"]),
        ("rmi busybox:", ["busybox:latest"]),
        ("tag busybox bu", ["busybox", "busybox:latest"]),
        ("tag busybox busybox ", []),
        ("volume rm ", ["data"]),
        ("completion ", ["bash", "fish", "zsh"]),
        ("cp ", ["old:", "web:", FILES]),
        ("cp ./file we", ["web:", FILES]),
        ("inspect w", ["web"]),
        ("context use ", ["default", "far"]),
        ("context create --from f", ["far"]),
        ("context export far ", [FILES]),
        ("--context ", ["default", "far"]),
        ("-c far ru", ["run"]),
        ("--tlskey ", [FILES]),
        ("ps --filter st", ["status="]),
        ("volume prune --filter ", ["all=", "label=", "label!="]),
    ],
)
def test_what_comes_next_is_offered(line: str, expected: list[str]) -> None:
    assert names(line) == expected


def test_options_are_offered_with_what_they_do() -> None:
    found = dict(candidates(["run"], "--r", lambda kind: []))
    assert found["--rm"] == "Remove the container and its anonymous volumes when it exits"
    assert set(found) >= {"--rm", "--restart", "--read-only"}


def test_an_engine_that_does_not_answer_is_no_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "argosy.cli.main", "__complete", "stop", ""],
        env={"ARGOSY_HOST": "unix:///nowhere", "PATH": "/"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with an `argosy` that is this one."""
    script = tmp_path / "argosy"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m argosy.cli.main "$@"\n')
    script.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


def shell(name: str, script: str, path: str) -> list[str]:
    program = shutil.which(name)
    assert program, f"this test needs {name}: install it"
    environment = {"PATH": path, "ARGOSY_HOST": "unix:///nowhere", "HOME": "/nonexistent", "TERM": "dumb"}
    done = subprocess.run(
        [program, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("argosy ru", ["run"]),
        ("argosy run --pull=", ["always", "missing", "never"]),
        ("argosy run --pull al", ["always"]),
    ],
)
def test_bash_completes(path: str, line: str, expected: list[str]) -> None:
    script = _SCRIPTS["bash"] + (
        f'COMP_LINE="{line}" COMP_POINT={len(line)}; _argosy; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    assert shell("bash", script, path) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("argosy ru", ["run"]), ("argosy run --pull al", ["always"]), ("argosy completion z", ["zsh"])],
)
def test_fish_completes(path: str, line: str, expected: list[str]) -> None:
    found = shell("fish", _SCRIPTS["fish"] + f"complete -C '{line}'", path)
    assert [candidate.split("\t")[0] for candidate in found] == expected


def test_zsh_completes(path: str) -> None:
    """With what zsh's own function does with the candidates put out of the way."""
    stub = "_describe() { print -l -- ${(P)2}; }\n"
    script = stub + _SCRIPTS["zsh"] + "words=(argosy ru); CURRENT=2; _argosy"
    assert shell("zsh", script, path) == ["run:Create and run a new container from an image"]
