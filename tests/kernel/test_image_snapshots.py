"""What every snapshotter has to do, on a real kernel. Needs root."""

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from argosy.errors import ArgosyError, Conflict, InvalidParameter, NotFound
from argosy.image import OverlaySnapshotter, Snapshotter
from argosy.image.content import ContentStore
from argosy.image.erofs import ErofsSnapshotter
from argosy.image.erofs_holder import DetachedLayers, LoopLayers
from argosy.image.snapshot import Info, Mount
from argosy.image.stacked import count_tree
from argosy.linux.mount import MNT_DETACH, mount_stack, umount

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


class Store:
    """A snapshotter as it is used: a layer's tar is a blob before the layer is committed."""

    def __init__(self, root: Path, driver: str) -> None:
        self.root = os.fspath(root)
        self.driver = driver
        self.content = ContentStore(self.root)
        self.snapshotter = self._open()

    def _open(self) -> Snapshotter:
        if self.driver == "overlay":
            return OverlaySnapshotter(self.root)
        holder = DetachedLayers() if self.driver == "erofs" else LoopLayers()
        return ErofsSnapshotter(self.root, self.content, holder)

    def reopen(self) -> Snapshotter:
        self.snapshotter.close()
        self.snapshotter = self._open()
        return self.snapshotter

    def commit(self, name: str, parent: str | None, tar: io.BytesIO | Files) -> str:
        """The digest of the layer."""
        stream = layer(tar) if isinstance(tar, dict) else tar
        blob = self.content.put(stream.getvalue())
        self.snapshotter.stage(f"stage-{name}", stream)
        self.snapshotter.commit(name, f"stage-{name}", parent, blob)
        return blob


@pytest.fixture(params=["erofs", "erofs-loop", "overlay"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "s", request.param)
    yield opened
    opened.snapshotter.close()


@pytest.fixture
def snapshotter(store: Store) -> Snapshotter:
    return store.snapshotter


@contextmanager
def mounted(mounts: list[Mount], target: Path) -> Iterator[Path]:
    target.mkdir(exist_ok=True)
    mount_stack([(item.type, item.source, item.options) for item in mounts], os.fspath(target))
    try:
        yield target
    finally:
        for _ in mounts:
            umount(os.fspath(target), MNT_DETACH)


def read(root: Path) -> Files:
    return {
        os.path.relpath(os.path.join(directory, name), root): Path(directory, name).read_bytes()
        for directory, _, names in os.walk(root)
        for name in names
    }


def shown(snapshotter: Snapshotter, name: str, target: Path) -> Files:
    with mounted(snapshotter.view(f"view-{name}", name), target) as root:
        return read(root)


def test_layers_stand_on_one_another(store: Store, tmp_path: Path) -> None:
    store.commit("one", None, {"a": b"1", "d/b": b"1", "d/c": b"1"})
    store.commit("two", "one", {"a": b"2", "d/.wh.b": b""})
    store.commit("three", "two", {"d/.wh..wh..opq": b"", "d/new": b"3"})
    for name, expected in (
        ("one", {"a": b"1", "d/b": b"1", "d/c": b"1"}),
        ("two", {"a": b"2", "d/c": b"1"}),
        ("three", {"a": b"2", "d/new": b"3"}),
    ):
        assert shown(store.snapshotter, name, tmp_path / "m") == expected


def test_an_active_snapshot_is_written_to_and_its_parent_is_not(store: Store, tmp_path: Path) -> None:
    store.commit("base", None, {"a": b"old", "b": b"kept"})
    snapshotter = store.snapshotter
    with mounted(snapshotter.prepare("key", "base"), tmp_path / "m") as root:
        (root / "a").write_bytes(b"new")
        (root / "b").unlink()
    assert snapshotter.mounts("key") == snapshotter.mounts("key")
    with mounted(snapshotter.mounts("key"), tmp_path / "m") as root:
        assert read(root) == {"a": b"new"}
    assert shown(snapshotter, "base", tmp_path / "m") == {"a": b"old", "b": b"kept"}


def test_a_view_cannot_be_written_to(store: Store, tmp_path: Path) -> None:
    store.commit("one", None, {"a": b""})
    store.commit("two", "one", {"b": b""})
    for name in ("one", "two"):
        with (
            mounted(store.snapshotter.view(f"view-{name}", name), tmp_path / "m") as root,
            pytest.raises(OSError, match="Read-only"),
        ):
            (root / "c").write_bytes(b"")


def test_the_diff_of_what_was_written_is_a_layer(store: Store, tmp_path: Path) -> None:
    store.commit("base", None, {"a": b"1", "d/x": b"1"})
    with mounted(store.snapshotter.prepare("key", "base"), tmp_path / "m") as root:
        (root / "a").unlink()
        (root / "d" / "y").write_bytes(b"2")
    output = io.BytesIO()
    store.snapshotter.diff("key", output.write)
    output.seek(0)
    store.commit("changed", "base", output)
    assert shown(store.snapshotter, "changed", tmp_path / "m") == {"d/x": b"1", "d/y": b"2"}


def test_a_snapshot_without_parents_is_empty(snapshotter: Snapshotter, tmp_path: Path) -> None:
    with mounted(snapshotter.prepare("key", None), tmp_path / "m") as root:
        (root / "a").write_bytes(b"x")
    with mounted(snapshotter.mounts("key"), tmp_path / "m") as root:
        assert read(root) == {"a": b"x"}
    with mounted(snapshotter.view("view", None), tmp_path / "m") as root:
        assert read(root) == {}


def test_committing_a_name_twice_keeps_the_first(store: Store, tmp_path: Path) -> None:
    store.commit("base", None, {"a": b"first"})
    store.commit("base", None, {"a": b"second"})
    assert shown(store.snapshotter, "base", tmp_path / "m") == {"a": b"first"}


def test_what_something_stands_on_cannot_be_removed(store: Store) -> None:
    store.commit("one", None, {"a": b""})
    store.commit("two", "one", {"b": b""})
    snapshotter = store.snapshotter
    snapshotter.prepare("key", "two")
    for name in ("one", "two"):
        with pytest.raises(Conflict):
            snapshotter.remove(name)
    for name in ("key", "two", "one", "one"):
        snapshotter.remove(name)
    assert list(snapshotter.walk()) == []


def test_wrong_names_are_refused(store: Store) -> None:
    store.commit("base", None, {"a": b""})
    snapshotter = store.snapshotter
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


def test_a_broken_layer_leaves_nothing(store: Store) -> None:
    with pytest.raises(InvalidParameter):
        store.snapshotter.stage("key", io.BytesIO(layer({"a": b"x" * 2000}).getvalue()[:1000]))
    assert not store.snapshotter.exists("key")
    store.commit("base", None, {"a": b""})


def test_implied_directories_keep_the_attributes_of_the_layers_below(store: Store, tmp_path: Path) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        directory = tarfile.TarInfo("d")
        directory.type, directory.mode, directory.uid, directory.mtime = tarfile.DIRTYPE, 0o1777, 9, 1234
        archive.addfile(directory)
    output.seek(0)
    store.commit("one", None, output)
    store.commit("two", "one", {"d/file": b""})
    with mounted(store.snapshotter.view("view", "two"), tmp_path / "m") as root:
        status = os.stat(root / "d")
        assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o1777, 9, 1234)


def test_a_hundred_and_twenty_seven_layers_are_one_root(store: Store, tmp_path: Path) -> None:
    if store.driver == "overlay":
        with tempfile.TemporaryDirectory(prefix="l") as links:
            store.snapshotter.close()
            store.snapshotter = OverlaySnapshotter(store.root, links=links)
            _lay_127_layers(store, tmp_path)
    else:
        _lay_127_layers(store, tmp_path)


def _lay_127_layers(store: Store, tmp_path: Path) -> None:
    parent = None
    expected: Files = {}
    for number in range(127):
        files = {f"f{number}": b"%d" % number, "changing": b"%d" % number, f"d{number % 7}/x{number}": b"x"}
        if number % 5 == 4:
            files[f".wh.f{number - 3}"] = b""
            del expected[f"f{number - 3}"]
        if number % 40 == 39:
            files[f"d{number % 7}/.wh..wh..opq"] = b""
            expected = {name: data for name, data in expected.items() if name[:2] != f"d{number % 7}"}
        store.commit(f"layer{number}", parent, files)
        expected.update({name: data for name, data in files.items() if ".wh." not in name})
        parent = f"layer{number}"
    with mounted(store.snapshotter.prepare("key", parent), tmp_path / "m") as root:
        assert read(root) == expected


def test_more_layers_than_fit_into_a_mount_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / ("long" * 20), "overlay")
    parent = None
    for number in range(60):
        store.commit(f"layer{number}", parent, {})
        parent = f"layer{number}"
    with pytest.raises(InvalidParameter, match="max depth exceeded"):
        store.snapshotter.prepare("key", parent)
    assert not store.snapshotter.exists("key")
    store.snapshotter.close()


def test_a_new_process_finds_what_there_was(store: Store, tmp_path: Path) -> None:
    store.commit("one", None, {"a": b"1"})
    first = store.snapshotter
    first.prepare("key", "one")
    first.view("view", "one")
    first.stage("lost", layer({"b": b""}))
    second = store.reopen()
    assert sorted(second.walk(), key=lambda info: info.id) == [
        Info("key", "one", False), Info("one", None, True), Info("view", "one", False),
    ]  # fmt: skip
    with mounted(second.mounts("key"), tmp_path / "m") as root:
        assert read(root) == {"a": b"1"}
    left = {name for _, _, names in os.walk(store.root) for name in names}
    assert not any("lost" in name or name.endswith(".new") for name in left)


def test_a_container_goes_on_when_the_snapshotter_changes(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "s", "overlay" if store.driver != "overlay" else "erofs")
    other.snapshotter.close()
    blob = store.commit("one", None, {"a": b"1"})
    with mounted(store.snapshotter.prepare("key", "one"), tmp_path / "m") as root:
        (root / "b").write_bytes(b"2")
    store.driver = other.driver
    snapshotter = store.reopen()
    with store.content.open(blob) as tar:
        snapshotter.stage("again", tar)
    snapshotter.commit("one", "again", None, blob)
    with mounted(snapshotter.mounts("key"), tmp_path / "m") as root:
        assert read(root) == {"a": b"1", "b": b"2"}


@pytest.fixture
def erofs(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "s", "erofs")
    yield opened
    opened.snapshotter.close()


def _index_of(store: Store, name: str) -> Path:
    return Path(store.root, "snapshots", "erofs", f"{name}.erofs")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied"])
def test_a_damaged_index_is_found_and_made_again(erofs: Store, tmp_path: Path, damage: str) -> None:
    erofs.commit("base", None, {"d/a": b"1"})
    erofs.commit("top", "base", {"d/b": b"2"})
    snapshotter = erofs.reopen()
    index = _index_of(erofs, "base")
    whole = index.read_bytes()
    if damage == "truncated":
        os.truncate(index, len(whole) - 100)
    elif damage == "flipped":
        index.write_bytes(whole[:1700] + bytes([whole[1700] ^ 1]) + whole[1701:])
    else:
        os.truncate(index, 1024)
    with pytest.raises(ArgosyError, match="is damaged"):
        snapshotter.verify("base")
    assert shown(snapshotter, "top", tmp_path / "m") == {"d/a": b"1", "d/b": b"2"}
    snapshotter.verify("base")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "deleted"])
def test_a_damaged_layer_is_found_before_it_is_mounted(erofs: Store, tmp_path: Path, damage: str) -> None:
    blob = erofs.commit("base", None, {"a": b"x" * 5000})
    snapshotter = erofs.reopen()
    path = erofs.content.path(blob)
    if damage == "truncated":
        os.truncate(path, 2048)
    elif damage == "flipped":
        with open(path, "r+b") as file:
            file.seek(600)
            file.write(b"y")
    else:
        os.unlink(path)
    with pytest.raises(ArgosyError, match=f"layer {blob} is"):
        snapshotter.prepare("key", "base")
    assert not snapshotter.exists("key")
    # A layer that comes again finds its place free.
    assert not erofs.content.exists(blob)
    erofs.content.put(layer({"a": b"x" * 5000}).getvalue())
    assert shown(snapshotter, "base", tmp_path / "m") == {"a": b"x" * 5000}


def test_a_layer_that_was_only_touched_is_used(erofs: Store, tmp_path: Path) -> None:
    blob = erofs.commit("base", None, {"a": b"1"})
    os.utime(erofs.content.path(blob))
    snapshotter = erofs.reopen()
    assert shown(snapshotter, "base", tmp_path / "m") == {"a": b"1"}


def test_removing_a_snapshot_leaves_no_mount_and_no_file(store: Store) -> None:
    before = _loop_devices()
    store.commit("one", None, {"a": b"1"})
    store.snapshotter.prepare("key", "one")
    store.snapshotter.remove("key")
    store.snapshotter.remove("one")
    store.reopen()
    left = [name for _, _, names in os.walk(os.path.join(store.root, "snapshots")) for name in names]
    assert left == []
    assert _loop_devices() == before


def _loop_devices() -> set[str]:
    return {name for name in os.listdir("/sys/block") if Path("/sys/block", name, "loop").exists()}


def test_a_tree_that_is_being_removed_holds_nothing(tmp_path: Path) -> None:
    assert count_tree(os.fspath(tmp_path / "gone")) == (0, 0)
