"""A thread with another root."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from argosy.linux.confinement import confine
from argosy.linux.path import O_PATH

pytestmark = pytest.mark.root


def in_thread(work: Callable[[], object]) -> object:
    """What it returns, or raises."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001  it is looked at
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_paths_and_links_stay_below_and_other_threads_see_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("theirs")
    (tmp_path / "link").symlink_to("/etc/passwd")

    def work() -> object:
        confine(os.open(tmp_path, O_PATH | os.O_DIRECTORY))
        with open("/link") as link, open("../../../etc/passwd") as up:
            return link.read(), up.read(), sorted(os.listdir("/"))

    assert in_thread(work) == ("theirs", "theirs", ["etc", "link"])
    assert "theirs" not in Path("/etc/passwd").read_text()


def test_nothing_is_imported_from_somebody_elses_root(tmp_path: Path) -> None:
    name = "argosy_test_planted"
    folder = next(path for path in sys.path if os.path.isdir(path))
    planted = tmp_path / folder.lstrip("/") / f"{name}.py"
    planted.parent.mkdir(parents=True)
    planted.write_text("raise SystemExit('run as root')")

    def work() -> object:
        confine(os.open(tmp_path, O_PATH | os.O_DIRECTORY))
        assert os.path.exists(os.path.join(folder, f"{name}.py"))
        return __import__(name)

    caught = in_thread(work)
    assert isinstance(caught, ImportError) and "in another root" in str(caught)
