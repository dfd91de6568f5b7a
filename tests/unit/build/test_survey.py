"""A large context's digest, known again without a look at its files."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.build import survey
from argosy.build.contexts import Context
from argosy.build.ignore import Ignore, read
from argosy.build.select import Selection, select
from argosy.build.survey import Selections

QUIET = 0.15


class Asked:
    """Selects all of a context, and counts how often that was asked for."""

    def __init__(self, path: Path, ignored: str = "") -> None:
        self._path = path
        self._ignored = ignored
        self._selections = Selections()
        self.times = 0

    def digest(self) -> str:
        context = Context(str(self._path), ignore=Ignore(read(self._ignored)))
        try:
            with context.files() as files:

                def find() -> Selection:
                    self.times += 1
                    return select(files, ["."])

                return self._selections.digest(context, (".",), find)
        finally:
            context.close()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(survey, "_MANY", 3)
    for name in ("a", "sub/b", "sub/c", "[out]/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    time.sleep(QUIET)
    yield tmp_path


def test_what_has_not_changed_is_not_looked_at(tree: Path) -> None:
    asked = Asked(tree)
    assert asked.digest() == asked.digest()
    assert asked.times == 1


@pytest.mark.parametrize("change", ["content", "mode", "name", "new", "same size and mtime"])
def test_any_change_is_seen(tree: Path, change: str) -> None:
    asked = Asked(tree)
    before = asked.digest()
    path = tree / "sub/b"
    status = path.stat()
    match change:
        case "content":
            path.write_text("other")
        case "mode":
            path.chmod(0o700)
        case "name":
            path.rename(tree / "sub/z")
        case "new":
            (tree / "sub/new").write_text("")
        case _:
            path.write_text("x" * status.st_size)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert asked.digest() != before
    assert asked.times == 2


def test_what_changed_only_just_now_is_looked_at_again(tree: Path) -> None:
    (tree / "a").write_text("now")
    asked = Asked(tree)
    assert asked.digest() == asked.digest()
    assert asked.times == 2


def test_a_directory_that_is_ignored_changes_nothing(tree: Path) -> None:
    asked = Asked(tree, "\\[out\\]\n")
    before = asked.digest()
    (tree / "[out]/d").write_text("changed")
    (tree / "[out]/e").write_text("new")
    assert asked.digest() == before
    assert asked.times == 1


def test_a_small_context_is_always_looked_at(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_MANY", 1000)
    asked = Asked(tree)
    assert asked.digest() == asked.digest()
    assert asked.times == 2
