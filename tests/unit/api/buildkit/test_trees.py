import os
from pathlib import Path

from argosy.api.buildkit.trees import Trees


def test_a_tree_comes_back_to_who_asks_with_the_same_key(tmp_path: Path) -> None:
    trees = Trees(str(tmp_path))
    path = trees.borrow("me")
    Path(path, "file").write_text("x")
    trees.give_back("me", path)
    again = trees.borrow("me")
    assert os.listdir(again) == ["file"]
    assert os.listdir(trees.borrow("you")) == []


def test_two_builds_at_a_time_have_each_their_own(tmp_path: Path) -> None:
    trees = Trees(str(tmp_path))
    one, other = trees.borrow("me"), trees.borrow("me")
    assert one != other
    Path(one, "1").touch()
    Path(other, "2").touch()
    trees.give_back("me", one)
    trees.give_back("me", other)
    assert os.listdir(trees.borrow("me")) == ["2"]


def test_what_was_busy_when_the_engine_ended_is_not_used(tmp_path: Path) -> None:
    trees = Trees(str(tmp_path))
    Path(trees.borrow("me"), "half").touch()
    kept = trees.borrow("you")
    trees.give_back("you", kept)
    later = Trees(str(tmp_path))
    assert os.listdir(later.borrow("me")) == []
    assert len(later.all()) == 1


def test_nothing_outlives_a_reboot(tmp_path: Path) -> None:
    trees = Trees(str(tmp_path))
    trees.give_back("me", trees.borrow("me"))
    (tmp_path / "boot").write_text("another")
    assert Trees(str(tmp_path)).all() == []


def test_the_longest_unused_make_room(tmp_path: Path) -> None:
    trees = Trees(str(tmp_path))
    for number in range(20):
        trees.give_back(str(number), trees.borrow(str(number)))
    assert len(trees.all()) == 16


def test_a_tree_can_be_removed(tmp_path: Path) -> None:
    trees = Trees(str(tmp_path))
    trees.give_back("me", trees.borrow("me"))
    for kept in trees.all():
        trees.remove(kept.name)
    assert trees.all() == []
