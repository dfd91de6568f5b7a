"""Names of containers and images completed by real shells, with a running engine."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.cli.system.completion import _SCRIPTS
from engine_fixture import LocalEngine

_PROMPT = b"READY>"
_PATIENCE = 10.0
_LINES = {
    "argosy stop complet": "argosy stop completed ",
    "argosy rmi busybox:": "argosy rmi busybox:latest ",
    "argosy cp complet": "argosy cp completed:",
    "argosy network inspect ho": "argosy network inspect host ",
}


@pytest.fixture
def named(engine: LocalEngine, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A shell's environment, where `argosy` is this one and its engine has a container `completed`."""
    engine.ok("run", "-d", "--name", "completed", "--network", "none", "busybox", "sleep", "1000")
    script = tmp_path / "argosy"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m argosy.cli.main "$@"\n')
    script.chmod(0o755)
    yield {
        **engine.environment,
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "ZDOTDIR": str(tmp_path),
        "TERM": "dumb",
    }


def _program(name: str) -> str:
    program = shutil.which(name)
    assert program, f"this test needs {name}: install it"
    return program


def test_bash_completes_names(named: dict[str, str]) -> None:
    for line, whole in _LINES.items():
        script = f'COMP_LINE="{line}" COMP_POINT={len(line)}; _argosy; printf "%s\\n" "${{COMPREPLY[@]}}"'
        done = subprocess.run(
            [_program("bash"), "-c", _SCRIPTS["bash"] + script], env=named, capture_output=True, check=True
        )
        # Readline has its own idea of where a word begins.
        word = whole.strip().rpartition(" ")[2]
        begun = line.rpartition(" ")[2]
        assert done.stdout.decode().strip() == word.removeprefix(begun if begun.endswith(":") else "")


def test_fish_completes_names(named: dict[str, str]) -> None:
    for line, whole in _LINES.items():
        done = subprocess.run(
            [_program("fish"), "-c", _SCRIPTS["fish"] + f"complete -C '{line}'"],
            env=named,
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode().strip() == whole.strip().rpartition(" ")[2]


def test_zsh_completes_names(named: dict[str, str], tmp_path: Path) -> None:
    lines = ("autoload -Uz compinit", "compinit -u", "source <(argosy completion zsh)", "PS1='READY> '")
    (tmp_path / ".zshrc").write_text("\n".join(lines))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [_program("zsh"), "-i"], stdin=theirs, stdout=theirs, stderr=theirs, env=named, start_new_session=True
    ) as shell:
        os.close(theirs)
        _read_until(ours, _PROMPT)
        for line, whole in _LINES.items():
            os.write(ours, line.encode() + b"\t")
            shown = _read_until(ours, whole.encode())
            # The line is left as it is: nothing of it is run.
            os.write(ours, b"\x15")
            assert not shown.endswith(b": ")
        shell.kill()
    os.close(ours)


def _read_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    deadline = time.monotonic() + _PATIENCE
    while wanted not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 4096)
    # And what comes right behind it.
    while select.select([terminal], [], [], 0.2)[0]:
        shown += os.read(terminal, 4096)
    return shown
