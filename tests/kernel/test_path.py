"""Paths inside a root that is hostile. Needs openat2(2)."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import descriptors
from argosy.linux.path import O_PATH, make_directories, make_mountpoint, open_in_root, open_regular

pytestmark = pytest.mark.root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must never be reached; `root` lies beside it."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text("secret")
    return path


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def descriptor(root: Path) -> Iterator[int]:
    opened = os.open(root, O_PATH | os.O_DIRECTORY)
    before = descriptors.opened()
    yield opened
    assert not descriptors.left_open(before)
    os.close(opened)


def place(descriptor: int) -> Path:
    try:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "/../etc/passwd"])
def test_a_link_that_leads_out_stays_in(root: Path, descriptor: int, target: str) -> None:
    (root / "link").symlink_to(target)
    with pytest.raises(FileNotFoundError):
        open_in_root(descriptor, "link", os.O_RDONLY)
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("own")
    assert place(open_in_root(descriptor, "link", os.O_RDONLY)) == root / "etc" / "passwd"


@pytest.mark.parametrize("path", ["..", "../outside/secret", "/../outside/secret", "a/../../outside/secret"])
def test_climbing_up_ends_at_the_root(root: Path, descriptor: int, path: str) -> None:
    (root / "a").mkdir()
    try:
        assert place(open_in_root(descriptor, path, O_PATH)) == root
    except FileNotFoundError:
        assert path != ".."


def test_a_link_made_of_a_process_is_refused(root: Path, descriptor: int) -> None:
    inside = os.open("/proc", O_PATH | os.O_DIRECTORY)
    with pytest.raises(OSError, match="openat2"):
        open_in_root(inside, "self/cwd", O_PATH)
    os.close(inside)


def test_an_empty_path_is_the_root(root: Path, descriptor: int) -> None:
    assert place(open_in_root(descriptor, "", O_PATH)) == root


def test_a_circle_of_links_is_an_error(root: Path, descriptor: int) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    for directory in (True, False):
        with pytest.raises(OSError, match="[Tt]oo many levels"):
            make_mountpoint(descriptor, "a/x", directory=directory)


def test_missing_directories_are_made(root: Path, descriptor: int) -> None:
    assert place(make_directories(descriptor, "/a//b/./c")) == root / "a" / "b" / "c"
    assert place(make_directories(descriptor, "a/b/c")) == root / "a" / "b" / "c"


def test_directories_are_made_behind_a_link_and_within_the_root(
    root: Path, descriptor: int, outside: Path
) -> None:
    (root / "var").mkdir()
    (root / "var" / "run").symlink_to("../run")
    (root / "trap").symlink_to(outside)
    assert place(make_directories(descriptor, "/var/run/docker")) == root / "run" / "docker"
    made = place(make_directories(descriptor, "/trap/x"))
    assert made == Path(f"{root}{outside}/x")
    assert os.listdir(outside) == ["secret"]


def test_a_file_in_the_way_is_an_error(root: Path, descriptor: int) -> None:
    (root / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_directories(descriptor, "file/below")


def test_a_mountpoint_is_made_as_what_will_be_mounted(root: Path, descriptor: int) -> None:
    assert place(make_mountpoint(descriptor, "/etc/hosts", directory=False)) == root / "etc" / "hosts"
    assert place(make_mountpoint(descriptor, "/data", directory=True)) == root / "data"
    assert stat.S_ISREG((root / "etc" / "hosts").stat().st_mode)
    assert stat.S_ISDIR((root / "data").stat().st_mode)


def test_a_mountpoint_behind_a_dangling_link_is_made_where_it_points(root: Path, descriptor: int) -> None:
    (root / "etc").mkdir()
    (root / "etc" / "resolv.conf").symlink_to("../run/systemd/stub.conf")
    made = place(make_mountpoint(descriptor, "/etc/resolv.conf", directory=False))
    assert made == root / "run" / "systemd" / "stub.conf"


def test_a_dangling_link_out_of_the_root_makes_nothing_there(
    root: Path, descriptor: int, outside: Path
) -> None:
    (root / "link").symlink_to(outside / "new")
    assert place(make_mountpoint(descriptor, "link", directory=False)) == Path(f"{root}{outside}/new")
    assert os.listdir(outside) == ["secret"]


@pytest.mark.parametrize("directory", [True, False])
def test_a_directory_is_not_mounted_onto_a_file_nor_the_other_way(
    root: Path, descriptor: int, directory: bool
) -> None:
    (root / "file").touch()
    (root / "directory").mkdir()
    with pytest.raises(NotADirectoryError):
        make_mountpoint(descriptor, "file" if directory else "directory", directory=directory)


def test_only_a_regular_file_is_ever_opened(root: Path, outside: Path) -> None:
    """Opening a device or a fifo does things: a watchdog starts, a reader is woken."""
    (root / "file").write_text("content")
    os.mkfifo(root / "fifo")
    os.mknod(root / "device", stat.S_IFCHR | 0o600, os.makedev(10, 130))
    (root / "link").symlink_to(outside / "secret")
    (root / "directory").mkdir()
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    with open(open_regular(top, "file")) as file:
        assert file.read() == "content"
    opened: list[object] = []
    for name in ("fifo", "device", "link", "directory", "missing"):
        with pytest.raises(FileNotFoundError):
            opened.append(open_regular(top, name))
    assert not opened
    os.close(top)


@pytest.mark.parametrize("umask", [0, 0o027, 0o077])
def test_mount_points_have_their_modes_whatever_the_umask(root: Path, umask: int) -> None:
    top = os.open(root, O_PATH | os.O_DIRECTORY)
    before = os.umask(umask)
    try:
        os.close(make_mountpoint(top, "a/b", directory=True))
        os.close(make_mountpoint(top, "a/c/file", directory=False))
    finally:
        os.umask(before)
        os.close(top)
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in ("a", "a/b", "a/c", "a/c/file")}
    assert modes == {"a": 0o755, "a/b": 0o755, "a/c": 0o755, "a/c/file": 0o644}
