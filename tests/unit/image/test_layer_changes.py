"""What an overlay's upper directory changes of the tree below it."""

import os
import stat
from pathlib import Path

import pytest

from argosy.image.layer_changes import Kind, list_changes
from argosy.linux.remove_tree import remove_tree


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    base, upper = tmp_path / "base", tmp_path / "upper"
    base.mkdir()
    upper.mkdir()
    return base, upper


def changes(trees: tuple[Path, Path], *left_out: bytes) -> list[tuple[str, str]]:
    descriptor = os.open(trees[0], os.O_PATH)
    try:
        found = list_changes(os.fspath(trees[1]), descriptor, left_out)
    finally:
        os.close(descriptor)
    return [(Kind(change.kind).name[0], change.path.decode()) for change in found]


def put(path: Path, text: str = "x", seconds: int = 1000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (seconds, seconds))


def hide(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, 0)


def test_what_was_copied_up_and_not_changed_is_no_change(trees: tuple[Path, Path]) -> None:
    for tree in trees:
        put(tree / "a/b")
    assert changes(trees) == []


def test_a_change_is_told_with_the_directories_around_it(trees: tuple[Path, Path]) -> None:
    put(trees[0] / "a/b/c")
    put(trees[1] / "a/b/c", "y", seconds=1001)
    put(trees[1] / "a/b/d")
    assert changes(trees) == [("M", "/a"), ("M", "/a/b"), ("M", "/a/b/c"), ("A", "/a/b/d")]


def test_attributes_count_and_times_to_the_second_where_either_knows_no_more(
    trees: tuple[Path, Path],
) -> None:
    for name in ("mode", "time", "capability", "same"):
        for tree in trees:
            put(tree / name)
    (trees[1] / "mode").chmod(0o600)
    os.utime(trees[1] / "time", ns=(0, 1000_000_000_005))
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(trees[1] / "capability", "security.capability", capability)
    assert changes(trees) == [("M", "/capability"), ("M", "/mode")]


def test_a_whiteout_is_told_if_something_is_hidden(trees: tuple[Path, Path]) -> None:
    put(trees[0] / "a/b/c")
    put(trees[0] / "d")
    hide(trees[1] / "a")
    hide(trees[1] / "nothing")
    assert changes(trees) == [("D", "/a")]


def test_below_an_opaque_directory_everything_is_new(trees: tuple[Path, Path]) -> None:
    for name in ("a/b/c", "a/b/d", "a/e/f"):
        put(trees[0] / name)
    (trees[1] / "a/b").mkdir(parents=True)
    put(trees[1] / "a/b/d")
    os.setxattr(trees[1] / "a", "trusted.overlay.opaque", b"y")
    assert changes(trees) == [("M", "/a"), ("M", "/a/b"), ("D", "/a/b/c"), ("D", "/a/e")]


def test_what_becomes_something_else_is_one_change(trees: tuple[Path, Path]) -> None:
    put(trees[0] / "directory/below")
    put(trees[1] / "directory")
    (trees[0] / "link").symlink_to("/directory")
    put(trees[1] / "link/below")
    assert changes(trees) == [("M", "/directory"), ("M", "/link"), ("A", "/link/below")]


def test_places_for_mounts_are_left_out_unless_used(trees: tuple[Path, Path]) -> None:
    put(trees[1] / "etc/hosts", "")
    (trees[1] / "dev/shm").mkdir(parents=True)
    assert changes(trees, b"etc", b"etc/hosts", b"dev", b"dev/shm") == []
    put(trees[1] / "dev/shm/file")
    found = [("M", "/dev"), ("M", "/dev/shm"), ("A", "/dev/shm/file")]
    assert changes(trees, b"etc", b"etc/hosts", b"dev", b"dev/shm") == found


def test_a_tree_may_be_deeper_than_calls_nest(trees: tuple[Path, Path]) -> None:
    path = os.fspath(trees[1])
    for _ in range(1200):
        path += "/d"
        os.mkdir(path)
    try:
        assert len(changes(trees)) == 1200
    finally:
        # Python's own removal, pytest's, nests calls.
        remove_tree(os.fspath(trees[1] / "d"))
