"""What every snapshotter has to do, on a real kernel. Needs root."""

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from argosy.errors import Conflict, InvalidParameter, NotFound
from argosy.image import OverlaySnapshotter, Snapshotter
from argosy.image.snapshot import Info, Mount
from argosy.linux.mount import MNT_DETACH, mount, parse_options, umount

pytestmark = pytest.mark.root

Files = dict[str, bytes]


def layer(files: Files) -> io.BytesIO:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    output.seek(0)
    return output


@pytest.fixture
def snapshotter(tmp_path: Path) -> Iterator[Snapshotter]:
    opened = OverlaySnapshotter(os.fspath(tmp_path / "s"))
    yield opened
    opened.close()


@contextmanager
def mounted(mounts: list[Mount], target: Path) -> Iterator[Path]:
    target.mkdir(exist_ok=True)
    for item in mounts:
        flags, _, data = parse_options(item.options)
        mount(item.source, os.fspath(target), "" if item.type == "bind" else item.type, flags, data)
    try:
        yield target
    finally:
        for _ in mounts:
            umount(os.fspath(target), MNT_DETACH)


def commit(snapshotter: Snapshotter, name: str, parent: str | None, files: Files) -> None:
    snapshotter.stage(f"stage-{name}", layer(files))
    snapshotter.commit(name, f"stage-{name}", parent)


def read(root: Path) -> Files:
    return {
        os.path.relpath(os.path.join(directory, name), root): Path(directory, name).read_bytes()
        for directory, _, names in os.walk(root)
        for name in names
    }


def test_layers_stand_on_one_another(snapshotter: Snapshotter, tmp_path: Path) -> None:
    commit(snapshotter, "one", None, {"a": b"1", "d/b": b"1", "d/c": b"1"})
    commit(snapshotter, "two", "one", {"a": b"2", "d/.wh.b": b""})
    commit(snapshotter, "three", "two", {"d/.wh..wh..opq": b"", "d/new": b"3"})
    for name, expected in (
        ("one", {"a": b"1", "d/b": b"1", "d/c": b"1"}),
        ("two", {"a": b"2", "d/c": b"1"}),
        ("three", {"a": b"2", "d/new": b"3"}),
    ):
        with mounted(snapshotter.view(f"view-{name}", name), tmp_path / "m") as root:
            assert read(root) == expected


def test_an_active_snapshot_is_written_to_and_its_parent_is_not(
    snapshotter: Snapshotter, tmp_path: Path
) -> None:
    commit(snapshotter, "base", None, {"a": b"old", "b": b"kept"})
    with mounted(snapshotter.prepare("key", "base"), tmp_path / "m") as root:
        (root / "a").write_bytes(b"new")
        (root / "b").unlink()
    assert snapshotter.mounts("key") == snapshotter.mounts("key")
    with mounted(snapshotter.mounts("key"), tmp_path / "m") as root:
        assert read(root) == {"a": b"new"}
    with mounted(snapshotter.view("view", "base"), tmp_path / "m") as root:
        assert read(root) == {"a": b"old", "b": b"kept"}


def test_a_view_cannot_be_written_to(snapshotter: Snapshotter, tmp_path: Path) -> None:
    commit(snapshotter, "one", None, {"a": b""})
    commit(snapshotter, "two", "one", {"b": b""})
    with (
        mounted(snapshotter.view("view", "two"), tmp_path / "m") as root,
        pytest.raises(OSError, match="Read-only"),
    ):
        (root / "c").write_bytes(b"")


def test_a_written_snapshot_is_committed_and_its_diff_is_a_layer(
    snapshotter: Snapshotter, tmp_path: Path
) -> None:
    commit(snapshotter, "base", None, {"a": b"1", "d/x": b"1"})
    with mounted(snapshotter.prepare("key", "base"), tmp_path / "m") as root:
        (root / "a").unlink()
        (root / "d" / "y").write_bytes(b"2")
    output = io.BytesIO()
    snapshotter.diff("key", output.write)
    output.seek(0)
    snapshotter.commit("changed", "key")
    assert not snapshotter.exists("key")
    snapshotter.stage("staged", output)
    snapshotter.commit("again", "staged", "base")
    for name in ("changed", "again"):
        with mounted(snapshotter.view(f"view-{name}", name), tmp_path / "m") as root:
            assert read(root) == {"d/x": b"1", "d/y": b"2"}
    assert snapshotter.usage("changed").size == snapshotter.usage("again").size


def test_a_snapshot_without_parents_is_empty(snapshotter: Snapshotter, tmp_path: Path) -> None:
    with mounted(snapshotter.prepare("key", None), tmp_path / "m") as root:
        (root / "a").write_bytes(b"x")
    with mounted(snapshotter.mounts("key"), tmp_path / "m") as root:
        assert read(root) == {"a": b"x"}
    with mounted(snapshotter.view("view", None), tmp_path / "m") as root:
        assert read(root) == {}


def test_committing_a_name_twice_keeps_the_first(snapshotter: Snapshotter, tmp_path: Path) -> None:
    commit(snapshotter, "base", None, {"a": b"first"})
    commit(snapshotter, "base", None, {"a": b"second"})
    with mounted(snapshotter.view("view", "base"), tmp_path / "m") as root:
        assert read(root) == {"a": b"first"}


def test_what_something_stands_on_cannot_be_removed(snapshotter: Snapshotter) -> None:
    commit(snapshotter, "one", None, {"a": b""})
    commit(snapshotter, "two", "one", {"b": b""})
    snapshotter.prepare("key", "two")
    for name in ("one", "two"):
        with pytest.raises(Conflict):
            snapshotter.remove(name)
    for name in ("key", "two", "one", "one"):
        snapshotter.remove(name)
    assert list(snapshotter.walk()) == []


def test_wrong_names_are_refused(snapshotter: Snapshotter) -> None:
    commit(snapshotter, "base", None, {"a": b""})
    snapshotter.prepare("key", "base")
    with pytest.raises(Conflict):
        snapshotter.prepare("key", "base")
    with pytest.raises(NotFound):
        snapshotter.prepare("other", "absent")
    with pytest.raises(NotFound):
        snapshotter.mounts("absent")
    with pytest.raises(NotFound):
        snapshotter.usage("absent")
    for key in ("", "..", "a/b", "x" * 300):
        with pytest.raises(InvalidParameter):
            snapshotter.prepare(key, None)


def test_a_broken_layer_leaves_nothing(snapshotter: Snapshotter) -> None:
    with pytest.raises(InvalidParameter):
        snapshotter.stage("key", io.BytesIO(layer({"a": b"x" * 2000}).getvalue()[:1000]))
    assert not snapshotter.exists("key")
    commit(snapshotter, "base", None, {"a": b""})


def test_implied_directories_keep_the_attributes_of_the_layers_below(
    snapshotter: Snapshotter, tmp_path: Path
) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        directory = tarfile.TarInfo("d")
        directory.type, directory.mode, directory.uid, directory.mtime = tarfile.DIRTYPE, 0o1777, 9, 1234
        archive.addfile(directory)
    output.seek(0)
    snapshotter.stage("stage", output)
    snapshotter.commit("one", "stage")
    commit(snapshotter, "two", "one", {"d/file": b""})
    with mounted(snapshotter.view("view", "two"), tmp_path / "m") as root:
        status = os.stat(root / "d")
        assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o1777, 9, 1234)


def test_a_hundred_and_twenty_seven_layers_fit_into_one_mount(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="l") as links:
        snapshotter = OverlaySnapshotter(os.fspath(tmp_path / "s"), links=links)
        parent = None
        for number in range(127):
            commit(snapshotter, f"layer{number}", parent, {f"f{number}": b""})
            parent = f"layer{number}"
        with mounted(snapshotter.prepare("key", parent), tmp_path / "m") as root:
            assert len(os.listdir(root)) == 127
        snapshotter.close()


def test_more_layers_than_fit_are_refused(tmp_path: Path) -> None:
    snapshotter = OverlaySnapshotter(os.fspath(tmp_path / ("long" * 20)))
    parent = None
    for number in range(60):
        commit(snapshotter, f"layer{number}", parent, {})
        parent = f"layer{number}"
    with pytest.raises(InvalidParameter, match="max depth exceeded"):
        snapshotter.prepare("key", parent)
    assert not snapshotter.exists("key")
    snapshotter.close()


def test_a_new_process_finds_what_there_was(tmp_path: Path) -> None:
    root = os.fspath(tmp_path / "s")
    first = OverlaySnapshotter(root)
    commit(first, "one", None, {"a": b"1"})
    first.prepare("key", "one")
    first.view("view", "one")
    first.stage("lost", layer({"b": b""}))
    mounts = first.mounts("key")
    first.close()
    second = OverlaySnapshotter(root)
    assert sorted(second.walk(), key=lambda info: info.id) == [
        Info("key", "one", False), Info("one", None, True), Info("view", "one", False),
    ]  # fmt: skip
    assert second.mounts("key") == mounts
    assert os.listdir(tmp_path / "s" / "snapshots" / "staging") == []
    second.close()
