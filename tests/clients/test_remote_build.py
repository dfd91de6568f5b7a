"""Builds on an engine that is not where the context is."""

import contextlib
import os
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_fixture import Answer, LocalEngine


class Wire:
    """TCP to the engine's socket; it counts what goes there."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine, contextlib.suppress(OSError):
            engine.connect(self._target)
            while True:
                ready, _, _ = select.select([client, engine], [], [])
                for one in ready:
                    data = one.recv(1 << 16)
                    if not data:
                        return
                    self.sent += len(data) if one is client else 0
                    (engine if one is client else client).sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def wire(module_engine: LocalEngine) -> Iterator[Wire]:
    opened = Wire(module_engine.host.removeprefix("unix://"))
    yield opened
    opened.close()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    path = tmp_path / "context"
    (path / "sub/deep").mkdir(parents=True)
    (path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (path / "large").write_bytes(os.urandom(2_000_000))
    (path / "sub/small").write_text("first")
    (path / "sub/deep/kept").write_text("kept")
    (path / "sub/left-out").write_bytes(os.urandom(1_000_000))
    (path / "run").write_text("#!/bin/sh\n")
    (path / "run").chmod(0o755)
    (path / "link").symlink_to("sub/small")
    (path / ".dockerignore").write_text("sub/left-out\nsub/deep\n!sub/deep/kept\n")
    return path


def build(engine: LocalEngine, wire: Wire, *words: str) -> Answer:
    wire.sent = 0
    return engine.argosy("-H", wire.host, "build", "--progress=plain", *words)


def test_only_what_has_changed_travels(
    module_engine: LocalEngine, wire: Wire, context: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = build(module_engine, wire, "-o", str(out), str(context))
    assert first.code == 0, first.stderr
    assert re.search(r"transferring context: [0-9.]+MB", first.stderr), first.stderr
    assert 2_000_000 < wire.sent < 2_200_000
    assert (out / "large").read_bytes() == (context / "large").read_bytes()
    assert (out / "link").readlink() == Path("sub/small")
    assert (out / "run").stat().st_mode & 0o777 == 0o755
    assert (out / "sub/deep/kept").read_text() == "kept"
    assert not (out / "sub/left-out").exists()
    (context / "sub/small").write_text("changed")
    (context / "run").unlink()
    assert build(module_engine, wire, "-o", str(tmp_path / "again"), str(context)).code == 0
    assert wire.sent < 20_000
    assert (tmp_path / "again/sub/small").read_text() == "changed"
    assert not (tmp_path / "again/run").exists()


def test_only_what_the_steps_take_travels(
    module_engine: LocalEngine, wire: Wire, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY sub/small /\nCOPY --from=more f /\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more/f").write_text("of another context")
    words = ("--build-context", f"more={tmp_path}/more", "-o", str(tmp_path / "out"), str(context))
    answer = build(module_engine, wire, *words)
    assert answer.code == 0, answer.stderr
    assert wire.sent < 20_000
    assert (tmp_path / "out/f").read_text() == "of another context"
    assert (tmp_path / "out/small").read_text() == "first"


def test_a_mistake_is_told_as_ever(module_engine: LocalEngine, wire: Wire, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    answer = build(module_engine, wire, str(context))
    assert answer.code == 1
    assert "missing" in answer.stderr and "Traceback" not in answer.stderr
