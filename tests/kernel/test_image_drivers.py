"""Choosing a snapshotter by what kernel and file system can do. Needs root."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.errors import InvalidParameter
from argosy.image.content import ContentStore
from argosy.image.drivers import Choice, choose_snapshotter
from argosy.linux.mount import MNT_DETACH, mount, umount

pytestmark = pytest.mark.root


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "memory"
    place.mkdir()
    mount("tmpfs", os.fspath(place), "tmpfs")
    yield place
    umount(os.fspath(place), MNT_DETACH)


def choose(root: Path, wanted: str = "") -> Choice:
    choice = choose_snapshotter(os.fspath(root), ContentStore(os.fspath(root)), wanted)
    choice.snapshotter.close()
    return choice


def test_the_best_is_chosen_and_says_why(tmp_path: Path) -> None:
    choice = choose(tmp_path)
    assert (choice.snapshotter.driver, choice.reason) == ("erofs", "the kernel can, with files as devices")
    assert os.listdir(tmp_path / "snapshots" / "trash") == []


def test_where_files_cannot_be_devices_loop_devices_are(memory: Path) -> None:
    choice = choose(memory)
    assert (choice.snapshotter.driver, choice.reason) == ("erofs", "the kernel can, with loop devices")


@pytest.mark.parametrize(
    ("wanted", "driver"), [("erofs", "erofs"), ("overlay", "overlay2"), ("overlay2", "overlay2")]
)
def test_what_is_asked_for_is_chosen(tmp_path: Path, wanted: str, driver: str) -> None:
    choice = choose(tmp_path, wanted)
    assert choice.snapshotter.driver == driver
    assert choice.reason.startswith("asked for by --storage-driver")


def test_a_driver_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="unknown storage driver 'btrfs'"):
        choose(tmp_path, "btrfs")
