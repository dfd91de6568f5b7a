"""Filling a volume with what an image has, on a real file system. Needs root."""

import os
import resource
import stat
from pathlib import Path

import pytest

import descriptors
from argosy.runtime.copy_up import copy_up

pytestmark = pytest.mark.root


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin"
    path.mkdir()
    return path


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    path.mkdir()
    return path


def copy(origin: Path, volume: Path) -> None:
    source, target = os.open(origin, os.O_RDONLY), os.open(volume, os.O_RDONLY)
    before = descriptors.opened()
    try:
        copy_up(source, target)
        assert not descriptors.left_open(before)
    finally:
        os.close(source)
        os.close(target)


def facts(path: Path) -> tuple[int, int, int, int]:
    status = path.lstat()
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns


def test_files_keep_content_mode_owner_and_time(origin: Path, volume: Path) -> None:
    file = origin / "file"
    file.write_bytes(os.urandom(100_000))
    os.chown(file, 11, 22)
    file.chmod(0o6751)
    os.utime(file, ns=(10**18, 10**18 + 1))
    copy(origin, volume)
    assert (volume / "file").read_bytes() == file.read_bytes()
    assert facts(volume / "file") == facts(file)


def test_the_volume_itself_becomes_like_the_directory(origin: Path, volume: Path) -> None:
    os.chown(origin, 33, 44)
    origin.chmod(0o1770)
    os.utime(origin, ns=(10**18, 10**18))
    copy(origin, volume)
    assert facts(volume) == facts(origin)


def test_directories_are_copied_with_their_times(origin: Path, volume: Path) -> None:
    (origin / "a" / "b").mkdir(parents=True)
    (origin / "a" / "b" / "f").write_text("x")
    (origin / "a").chmod(0o500)
    os.utime(origin / "a", ns=(10**18, 10**18))
    copy(origin, volume)
    assert facts(volume / "a") == facts(origin / "a")
    assert (volume / "a" / "b" / "f").read_text() == "x"


def test_links_stay_links(origin: Path, volume: Path) -> None:
    (origin / "absolute").symlink_to("/etc/passwd")
    (origin / "dangling").symlink_to("nowhere")
    os.chown(origin / "dangling", 5, 6, follow_symlinks=False)
    copy(origin, volume)
    assert os.readlink(volume / "absolute") == "/etc/passwd"
    assert facts(volume / "dangling") == facts(origin / "dangling")


def test_a_link_to_a_directory_is_not_walked_into(origin: Path, volume: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").touch()
    (origin / "link").symlink_to(tmp_path / "elsewhere")
    copy(origin, volume)
    assert (volume / "link").is_symlink()


def test_hard_links_stay_one_file_across_directories(origin: Path, volume: Path) -> None:
    (origin / "a").mkdir()
    (origin / "b").mkdir()
    (origin / "a" / "one").write_text("shared")
    os.link(origin / "a" / "one", origin / "b" / "two")
    os.link(origin / "a" / "one", origin / "three")
    copy(origin, volume)
    inodes = {(volume / name).stat().st_ino for name in ("a/one", "b/two", "three")}
    assert len(inodes) == 1
    assert (volume / "three").stat().st_nlink == 3


def test_a_hard_linked_symbolic_link_stays_both(origin: Path, volume: Path) -> None:
    (origin / "a").symlink_to("/nowhere")
    os.link(origin / "a", origin / "b", follow_symlinks=False)
    copy(origin, volume)
    assert (volume / "a").is_symlink()
    assert (volume / "a").lstat().st_ino == (volume / "b").lstat().st_ino


def test_more_hard_links_than_a_process_may_have_files_open(origin: Path, volume: Path) -> None:
    for number in range(150):
        (origin / f"{number}").touch()
        os.link(origin / f"{number}", origin / f"{number}.again")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, limits[1]))
    try:
        copy(origin, volume)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert all((volume / f"{number}.again").stat().st_nlink == 2 for number in range(150))


def test_extended_attributes_are_copied_but_for_overlays_own(origin: Path, volume: Path) -> None:
    file = origin / "file"
    file.touch()
    os.setxattr(file, "user.note", b"kept")
    os.setxattr(file, "trusted.overlay.opaque", b"y")
    os.setxattr(origin, "trusted.other", b"kept")
    copy(origin, volume)
    assert os.listxattr(volume / "file") == ["user.note"]
    assert os.getxattr(volume, "trusted.other") == b"kept"


def test_devices_and_pipes_are_made_anew(origin: Path, volume: Path) -> None:
    os.mkfifo(origin / "pipe", 0o640)
    os.mknod(origin / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    copy(origin, volume)
    assert stat.S_ISFIFO((volume / "pipe").stat().st_mode)
    assert stat.S_IMODE((volume / "pipe").stat().st_mode) == 0o640
    assert (volume / "null").stat().st_rdev == os.makedev(1, 3)


def test_a_volume_that_holds_something_is_left_alone(origin: Path, volume: Path) -> None:
    (origin / "new").touch()
    (volume / "old").touch()
    copy(origin, volume)
    assert os.listdir(volume) == ["old"]


def test_an_empty_directory_only_lends_its_owner_and_mode(origin: Path, volume: Path) -> None:
    os.chown(origin, 999, 999)
    copy(origin, volume)
    assert os.listdir(volume) == []
    assert volume.stat().st_uid == 999
