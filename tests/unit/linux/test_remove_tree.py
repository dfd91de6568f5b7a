"""Deleting what somebody else has filled."""

import os
import subprocess
from pathlib import Path

import pytest

from argosy.linux.path import DIRECTORY
from argosy.linux.remove_tree import discard_tree, remove_tree


def nested(path: Path, depth: int) -> None:
    path.mkdir()
    current = os.open(path, DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)


@pytest.mark.parametrize("remove", [remove_tree, discard_tree])
def test_a_tree_may_be_deeper_than_calls_nest(tmp_path: Path, remove: object) -> None:
    nested(tmp_path / "deep", 3000)
    assert callable(remove)
    remove(os.fspath(tmp_path / "deep"))
    assert os.listdir(tmp_path) == []


def test_what_is_immutable_goes_and_no_device_is_opened_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("x")
    os.mkfifo(tree / "fifo")
    subprocess.run(["chattr", "+i", tree / "file"], check=True)
    subprocess.run(["chattr", "+a", tree], check=True)
    opened: list[object] = []
    plain = os.open

    def watched(path: object, flags: int, *rest: object, **more: object) -> int:
        if not flags & os.O_PATH:
            opened.append(path)
        return plain(path, flags, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", watched)
    remove_tree(os.fspath(tree))
    assert os.listdir(tmp_path) == []
    assert b"fifo" not in opened
