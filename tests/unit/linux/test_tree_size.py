"""How much is in a tree of somebody else's."""

import os
import resource
from pathlib import Path

import pytest

from argosy.linux.path import DIRECTORY
from argosy.linux.remove_tree import remove_tree
from argosy.linux.tree_size import tree_size


def measured(path: Path, *left_out: bytes) -> tuple[int, int]:
    descriptor = os.open(path, DIRECTORY)
    try:
        return tree_size(descriptor, left_out)
    finally:
        os.close(descriptor)


def test_files_count_once_and_directories_without_a_size(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/f").write_bytes(b"x" * 5000)
    (tmp_path / "d/e/same").hardlink_to(tmp_path / "d/f")
    (tmp_path / "mark").symlink_to("1234")
    (tmp_path / "d/mark").symlink_to("1234")
    assert measured(tmp_path) == (5008, 5)
    assert measured(tmp_path, b"d/mark") == (5004, 5)


def test_a_tree_may_be_deeper_than_calls_nest(tmp_path: Path) -> None:
    depth = 1500
    current = os.open(tmp_path, DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A descriptor a level.
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        assert measured(tmp_path) == (0, depth)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        # What clears test directories cannot.
        remove_tree(os.fspath(tmp_path / "d"))


def test_what_vanishes_or_becomes_a_link_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 1000)
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "f").write_bytes(b"x")
    plain = os.stat

    def hostile(name: bytes, *, dir_fd: int, follow_symlinks: bool) -> os.stat_result:
        status = plain(name, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        if name == b"d":
            (tree / "d").rmdir()
            (tree / "d").symlink_to(outside)
        if name == b"f":
            raise FileNotFoundError(2, "gone")
        return status

    monkeypatch.setattr(os, "stat", hostile)
    assert measured(tree) == (0, 0)
