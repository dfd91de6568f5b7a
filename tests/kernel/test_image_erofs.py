"""Indexes over tars, mounted, beside what unpacking makes of the same tars. Needs root."""

import contextlib
import io
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argosy.errors import ArgosyError, InvalidParameter
from argosy.image import OverlaySnapshotter, Snapshotter
from argosy.image import digest as digests
from argosy.image.content import ContentStore
from argosy.image.erofs import ErofsSnapshotter
from argosy.image.erofs_holder import DetachedLayers
from argosy.linux.mount import MNT_DETACH, mount_stack, umount
from tree_samples import Description, describe, implied, layers, random_stack, tar_of

pytestmark = pytest.mark.root
EXAMPLES = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="argosy-erofs-") as directory:
        yield Path(directory)


@contextlib.contextmanager
def opened(directory: Path, driver: str) -> Iterator[tuple[Snapshotter, ContentStore]]:
    root = os.fspath(directory / driver)
    content = ContentStore(root)
    snapshotter: Snapshotter = OverlaySnapshotter(root)
    if driver == "erofs":
        snapshotter.close()
        snapshotter = ErofsSnapshotter(root, content, DetachedLayers())
    try:
        yield snapshotter, content
    finally:
        snapshotter.close()


def lay(snapshotter: Snapshotter, content: ContentStore, tars: list[bytes]) -> str | None:
    """The name of the uppermost layer. Raises InvalidParameter."""
    parent = None
    for number, tar in enumerate(tars):
        blob = content.put(tar)
        snapshotter.stage("stage", io.BytesIO(tar))
        name = f"layer{number}"
        snapshotter.commit(name, "stage", parent, blob)
        parent = name
    return parent


@contextlib.contextmanager
def view(snapshotter: Snapshotter, name: str | None, target: Path) -> Iterator[Path]:
    target.mkdir(exist_ok=True)
    mounts = snapshotter.view("view", name)
    mount_stack([(item.type, item.source, item.options) for item in mounts], os.fspath(target))
    try:
        yield target
    finally:
        for _ in mounts:
            umount(os.fspath(target), MNT_DETACH)
        snapshotter.remove("view")


def shown(directory: Path, driver: str, tars: list[bytes], ignored: frozenset[bytes]) -> Description | str:
    """What a driver makes of the layers, or that it refuses them."""
    with opened(directory, driver) as (snapshotter, content):
        try:
            name = lay(snapshotter, content, tars)
        except InvalidParameter:
            return "refused"
        with view(snapshotter, name, directory / "m") as root:
            return describe(root, ignore_times_of=ignored)


@EXAMPLES
@given(st.lists(layers(lower=True), min_size=1, max_size=4))
def test_any_stack_of_layers_shows_what_unpacking_it_would(tars: list[bytes]) -> None:
    with scratch() as directory:
        # Directories with an entry of their own keep its time; the property below is about those.
        ignored = implied(tars)
        assert shown(directory, "erofs", tars, ignored) == shown(directory, "overlay", tars, ignored)


@EXAMPLES
@given(layers(lower=False, distinct=True))
def test_an_index_shows_what_gnu_tar_unpacks(tar: bytes) -> None:
    with scratch() as directory:
        unpacked = directory / "unpacked"
        unpacked.mkdir()
        options = ["--delay-directory-restore", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
        command = ["tar", "-xp", *options, "-C", str(unpacked)]
        done = subprocess.run(command, input=tar, capture_output=True, check=False)
        if done.returncode:
            # Where GNU tar gives up, it has unpacked the rest: there is nothing to compare with.
            return
        ours = shown(directory, "erofs", [tar], frozenset())
        assert ours != "refused"
        theirs = describe(unpacked)
        assert isinstance(ours, dict)
        entries = _members_with_an_entry(tar)
        for name in theirs.keys() - entries:
            # Directories that are only implied have the moment of unpacking.
            assert name in ours
            del theirs[name], ours[name]
        assert ours == theirs


def _members_with_an_entry(tar: bytes) -> set[bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        return {os.fsencode(member.name) for member in archive}


@pytest.mark.parametrize("count", [35, 83])
def test_a_deep_stack_shows_what_unpacking_it_would(count: int) -> None:
    """More layers than are mounted one by one: they are merged."""
    seed = random.Random(7)
    for _ in range(3):
        with scratch() as directory:
            tars = random_stack(seed, count)
            ignored = implied(tars)
            unpacked = shown(directory, "overlay", tars, ignored)
            assert unpacked != "refused"
            assert shown(directory, "erofs", tars, ignored) == unpacked


def lower_layers(snapshotter: Snapshotter, name: str) -> int:
    mounts = snapshotter.prepare("counted", name)
    snapshotter.remove("counted")
    lower = next(each for each in mounts[-1].options if each.startswith("lowerdir="))
    return lower.count(":") + 1


def compact(snapshotter: Snapshotter, name: str) -> None:
    snapshotter.compact(name)
    for thread in threading.enumerate():
        if thread.name == "compact":
            thread.join()


def test_a_deep_stack_is_compacted_for_containers() -> None:
    tars = random_stack(random.Random(8), 127)
    with scratch() as directory:
        with opened(directory, "erofs") as (snapshotter, content):
            name = lay(snapshotter, content, tars)
            assert name is not None
            with view(snapshotter, name, directory / "m") as root:
                tree = describe(root, ignore_times_of=implied(tars))
            before = snapshotter.allocated(name)
            assert lower_layers(snapshotter, name) == 1 + 3 + 15
            compact(snapshotter, name)
            assert lower_layers(snapshotter, name) == 1 + 3 + 1
            assert snapshotter.allocated(name) > before
            with view(snapshotter, name, directory / "m") as root:
                assert describe(root, ignore_times_of=implied(tars)) == tree
        with opened(directory, "erofs") as (snapshotter, _):
            assert lower_layers(snapshotter, name) == 5
            merged = directory / "erofs" / "snapshots" / "erofs" / f"{name}.merged"
            assert merged.exists()
            snapshotter.remove(name)
            assert not merged.exists()
            assert lower_layers(snapshotter, "layer125") == 1 + 3 + 14


def test_a_compacted_stack_that_is_damaged_is_mounted_layer_by_layer(tmp_path: Path) -> None:
    tars = random_stack(random.Random(9), 18)
    with opened(tmp_path, "erofs") as (snapshotter, content):
        name = lay(snapshotter, content, tars)
        assert name is not None
        compact(snapshotter, name)
        assert lower_layers(snapshotter, name) == 2
    merged = tmp_path / "erofs" / "snapshots" / "erofs" / f"{name}.merged"
    with open(merged, "r+b") as file:
        file.seek(2000)
        byte = file.read(1)
        file.seek(2000)
        file.write(bytes([byte[0] ^ 1]))
    with opened(tmp_path, "erofs") as (snapshotter, content):
        with pytest.raises(ArgosyError, match="is damaged"):
            snapshotter.verify(name)
        assert lower_layers(snapshotter, name) == 3
        compact(snapshotter, name)
        assert lower_layers(snapshotter, name) == 2
        snapshotter.verify(name)


def test_a_stack_of_few_layers_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path, "erofs") as (snapshotter, content):
        name = lay(snapshotter, content, random_stack(random.Random(10), 15))
        assert name is not None
        compact(snapshotter, name)
        assert lower_layers(snapshotter, name) == 15


@pytest.mark.parametrize("form", ["old", "0.0", "0.1", "1.0"])
def test_sparse_files_read_as_they_were(tmp_path: Path, form: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with open(tree / "sparse", "wb") as file:
        for position in (0, 3000, 1 << 20, (5 << 20) + 17):
            file.seek(position)
            file.write(os.urandom(700))
        file.truncate(9 << 20)
    with open(tree / "aligned", "wb") as file:
        for position in (4096, 1 << 20, 64 << 20):
            file.seek(position)
            file.write(os.urandom(8192))
    with open(tree / "hole", "wb") as file:
        file.truncate(1 << 33)
    with open(tree / "data-at-the-end", "wb") as file:
        file.seek(300 << 20)
        file.write(b"end")
    form_options = ["--format=gnu"] if form == "old" else ["--format=pax", f"--sparse-version={form}"]
    command = ["tar", "-cS", *form_options, "-C", str(tree), "."]
    tar = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(tar) < 1 << 20
    with (
        opened(tmp_path, "erofs") as (snapshotter, content),
        view(snapshotter, lay(snapshotter, content, [tar]), tmp_path / "m") as root,
    ):
        for name in ("sparse", "aligned", "data-at-the-end"):
            subprocess.run(["cmp", str(tree / name), str(root / name)], check=True)
        assert (root / "hole").stat().st_size == 1 << 33
        index = tmp_path / "erofs" / "snapshots" / "erofs" / "layer0.erofs"
        assert index.stat().st_blocks * 512 < 4 << 20


def test_a_directory_of_many_names_is_complete(tmp_path: Path) -> None:
    names = [f"{number:05}-{'n' * (number % 200)}" for number in range(5000)]
    tar = tar_of([(tarfile.TarInfo(f"d/{name}"), name.encode()) for name in names])
    with (
        opened(tmp_path, "erofs") as (snapshotter, content),
        view(snapshotter, lay(snapshotter, content, [tar]), tmp_path / "m") as root,
    ):
        assert sorted(os.listdir(root / "d")) == sorted(names)
        assert all((root / "d" / name).read_bytes() == name.encode() for name in names[::37])
        assert not (root / "d" / "absent").exists()


def test_a_path_of_4096_bytes_is_found(tmp_path: Path) -> None:
    deep = "/".join(["d" * 200] * 20)
    tar = tar_of([(tarfile.TarInfo(f"{deep}/file"), b"deep")])
    with (
        opened(tmp_path, "erofs") as (snapshotter, content),
        view(snapshotter, lay(snapshotter, content, [tar]), tmp_path / "m") as root,
    ):
        descriptor = os.open(root, os.O_PATH)
        for name in deep.split("/"):
            following = os.open(name, os.O_PATH, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = following
        with open(os.open("file", os.O_RDONLY, dir_fd=descriptor), "rb") as file:
            assert file.read() == b"deep"
        os.close(descriptor)


def _entry(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


HOSTILE = {
    "links in a circle": [
        (_entry("a", type=tarfile.SYMTYPE, linkname="b"), b""),
        (_entry("b", type=tarfile.SYMTYPE, linkname="a"), b""),
        (_entry("a/file"), b"x"),
    ],
    "a link that doubles at each step": [
        (_entry(f"l{n}", type=tarfile.SYMTYPE, linkname=f"l{n - 1}/l{n - 1}"), b"") for n in range(1, 60)
    ]
    + [(_entry("l59/file"), b"x")],
    "a hard link to nothing": [(_entry("h", type=tarfile.LNKTYPE, linkname="nothing"), b"")],
    "a hard link to a directory": [
        (_entry("d", type=tarfile.DIRTYPE), b""),
        (_entry("h", type=tarfile.LNKTYPE, linkname="d"), b""),
    ],
    "a hard link out of the root": [(_entry("h", type=tarfile.LNKTYPE, linkname="../../etc/passwd"), b"")],
    "a name that is too long": [(_entry("n" * 256), b"")],
    "a directory below a file": [(_entry("f"), b"x"), (_entry("f/g"), b"x")],
    "a type that nobody knows": [(_entry("f", type=b"Z"), b"")],
    "attributes that are too large": [
        (_entry("f", pax_headers={"SCHILY.xattr.user.x": "v" * 70_000}), b""),
    ],
    "a whiteout of the directory itself": [(_entry("d/.wh.."), b"")],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_layer_is_refused_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    with opened(tmp_path, "erofs") as (snapshotter, content):
        with pytest.raises(ArgosyError):
            lay(snapshotter, content, [tar_of(HOSTILE[what])])
        snapshotter.remove("stage")
        assert not snapshotter.exists("stage")
        assert os.listdir(tmp_path / "erofs" / "snapshots" / "erofs") == []


def test_an_absolute_name_stays_in_the_root(tmp_path: Path) -> None:
    tar = tar_of([(_entry("/../../escaped"), b"x"), (_entry("l", type=tarfile.SYMTYPE, linkname="/"), b"")])
    with (
        opened(tmp_path, "erofs") as (snapshotter, content),
        view(snapshotter, lay(snapshotter, content, [tar]), tmp_path / "m") as root,
    ):
        assert sorted(os.listdir(root)) == ["escaped", "l"]


def test_a_million_entries_are_indexed_within_reason(tmp_path: Path) -> None:
    """Entries of one name: a layer that is all headers."""
    block = tar_of([(_entry("f"), b"")])[:512]
    path = tmp_path / "tar"
    with open(path, "wb") as file:
        for _ in range(100):
            file.write(block * 10_000)
        file.write(bytes(1024))
    with opened(tmp_path, "erofs") as (snapshotter, _), open(path, "rb") as tar:
        usage = snapshotter.stage("stage", tar)
    assert usage.inodes == 1


def test_a_sparse_file_with_too_many_parts_for_its_index_is_refused(tmp_path: Path) -> None:
    sparse = {"GNU.sparse.size": str(1 << 62), "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""}
    tar = tar_of([(_entry(f"f{n}", pax_headers=sparse), b"") for n in range(3)])
    with opened(tmp_path, "erofs") as (snapshotter, content), pytest.raises(InvalidParameter):
        lay(snapshotter, content, [tar])


def test_digests_name_layers(tmp_path: Path) -> None:
    """The names that the engine uses are digests, and become file names."""
    tar = tar_of([(_entry("f"), b"x")])
    name = digests.of_bytes(tar)
    with opened(tmp_path, "erofs") as (snapshotter, content):
        blob = content.put(tar)
        snapshotter.stage("stage", io.BytesIO(tar))
        snapshotter.commit(name, "stage", None, blob)
        assert os.listdir(tmp_path / "erofs" / "snapshots" / "erofs") == [name[7:] + ".erofs"]
        snapshotter.prepare("key", name)
    with opened(tmp_path, "erofs") as (snapshotter, _):
        assert [info.parent for info in snapshotter.walk() if not info.committed] == [name]
    shutil.rmtree(tmp_path / "erofs")
