"""When the engine is started for the user, and what is said when it cannot be reached."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from argosy.cli import autostart
from argosy.cli.context import DEFAULT_HOST, Context, Where
from argosy.cli.failure import Failure
from argosy.client.errors import ConnectionFailed
from argosy.client.transport import Address


def failed(number: int, address: str = DEFAULT_HOST) -> ConnectionFailed:
    return ConnectionFailed(address, OSError(number, os.strerror(number)))


def test_starts_the_engine_only_when_it_is_absent_and_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(autostart, "start", started.append)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert autostart.start_for(failed(errno.ENOENT))
    assert autostart.start_for(failed(errno.ECONNREFUSED))
    assert not autostart.start_for(failed(errno.EACCES))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not autostart.start_for(failed(errno.ENOENT))
    assert started == [DEFAULT_HOST, DEFAULT_HOST]


def test_only_the_default_socket_is_started_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(autostart, "start", lambda address: pytest.fail("started"))
    context = Context("argosy ps", Where(f"unix://{tmp_path}/none"))
    with pytest.raises(ConnectionFailed):
        context.client.info()


def test_explains_what_to_do() -> None:
    assert autostart.explain(failed(errno.ENOENT)) == (
        f"Cannot connect to the Docker daemon at {DEFAULT_HOST}. Is the docker daemon running?\n"
        "hint: start the engine as root: argosy system start"
    )
    assert "permission denied" in autostart.explain(failed(errno.EACCES))
    assert "hint" not in autostart.explain(failed(errno.ECONNREFUSED, "tcp://1.2.3.4:5"))


def test_an_engine_that_ends_at_once_is_reported_with_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(autostart, "LOG", str(tmp_path / "log"))
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    with pytest.raises(Failure, match="could not be started"):
        autostart.start(f"unix://{tmp_path}/none")


def test_the_environment_says_where_the_engine_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.delenv("ARGOSY_HOST", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert Context("argosy").host == DEFAULT_HOST
    monkeypatch.setenv("DOCKER_HOST", "tcp://docker:1")
    assert Context("argosy").host == "tcp://docker:1"
    monkeypatch.setenv("ARGOSY_HOST", "tcp://argosy:1")
    assert Context("argosy").host == "tcp://argosy:1"
    assert Context("argosy", Where("tcp://flag:1")).host == "tcp://flag:1"


def test_an_engine_answers_or_does_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert not autostart.answers(Address(f"unix://{path}"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        assert autostart.answers(Address(f"unix://{path}"))


def test_the_process_is_known_by_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    monkeypatch.setattr(autostart, "PID_FILE", str(path))
    assert autostart.engine_pid() is None
    path.write_text(f"{os.getpid()}\n")
    assert autostart.engine_pid() == os.getpid()
    path.write_text("junk")
    assert autostart.engine_pid() is None
