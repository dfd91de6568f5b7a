"""Laying layers down and writing them again, on a real file system. Needs root."""

import contextlib
import io
import os
import socket
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from argosy.build.files import extended_attributes
from argosy.errors import InvalidParameter
from argosy.image.layer_apply import apply_layer
from argosy.image.layer_diff import diff_layer

pytestmark = pytest.mark.root

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, data: bytes = b"", **fields: Any) -> Member:
    made = tarfile.TarInfo(name)
    made.size = len(data)
    for key, value in fields.items():
        setattr(made, key, value)
    return made, data


def tar_of(*members: Member) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for made, data in members:
            archive.addfile(made, io.BytesIO(data))
    return output.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


def apply(root: Path, *members: Member) -> Any:
    return apply_layer(os.fspath(root), io.BytesIO(tar_of(*members)))


def test_everything_that_a_tar_says_is_on_the_disk(root: Path) -> None:
    applied = apply(
        root,
        member("dir", type=tarfile.DIRTYPE, mode=0o1755, uid=7, gid=8, mtime=1000),
        member("dir/file", b"data", mode=0o4755, uid=1000, gid=1001, mtime=2000,
               pax_headers={"SCHILY.xattr.user.note": "x", "mtime": "2000.5"}),
        member("hard", type=tarfile.LNKTYPE, linkname="dir/file"),
        member("soft", type=tarfile.SYMTYPE, linkname="/absolute/target", uid=5),
        member("fifo", type=tarfile.FIFOTYPE, mode=0o600),
        member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
    )  # fmt: skip
    file = os.stat(root / "dir/file")
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_gid, file.st_nlink) == (0o4755, 1000, 1001, 2)
    assert file.st_mtime_ns == 2_000_500_000_000
    assert os.getxattr(root / "dir/file", "user.note") == b"x"
    assert os.stat(root / "hard").st_ino == file.st_ino
    assert os.readlink(root / "soft") == "/absolute/target"
    assert os.lstat(root / "soft").st_uid == 5
    assert stat.S_ISFIFO(os.lstat(root / "fifo").st_mode)
    assert os.lstat(root / "null").st_rdev == os.makedev(1, 3)
    directory = os.stat(root / "dir")
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid, directory.st_mtime) == (0o1755, 7, 1000)
    assert (applied.size, applied.inodes) == (4 + len("/absolute/target"), 5)


def test_whiteouts_become_overlays(root: Path) -> None:
    apply(
        root,
        member("a/.wh.gone"),
        member("b/.wh..wh..opq"),
        member("b/new", b"x"),
        member(".wh..wh.plnk", type=tarfile.DIRTYPE),
    )
    gone = os.lstat(root / "a/gone")
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(root / "b", "trusted.overlay.opaque") == b"y"
    assert sorted(os.listdir(root)) == ["a", "b"]


def test_a_sparse_file_stays_sparse(root: Path) -> None:
    apply(root, member("big", bytes(8 << 20) + b"end"))
    status = os.stat(root / "big")
    assert status.st_size == (8 << 20) + 3
    assert status.st_blocks * 512 < 1 << 20


def test_a_name_that_cannot_be_made_is_refused(root: Path) -> None:
    with pytest.raises(InvalidParameter, match="failed to apply layer entry"):
        apply(root, member("x" * 300, b""))
    with pytest.raises(InvalidParameter, match="hard link"):
        apply(root, member("y", type=tarfile.LNKTYPE, linkname="/"))


HOSTILE: list[list[Member]] = [
    [member("../escaped", b"x")],
    [member("/escaped", b"x")],
    [member("a/../../../escaped", b"x")],
    [member("link", type=tarfile.SYMTYPE, linkname="/"), member("link/escaped", b"x")],
    [member("link", type=tarfile.SYMTYPE, linkname="../.."), member("link/escaped", b"x")],
    [member("link", type=tarfile.SYMTYPE, linkname="/outside"), member("link", b"x")],
    [member("hard", type=tarfile.LNKTYPE, linkname="../outside/secret"), member("hard", b"x")],
    [member("hard", type=tarfile.LNKTYPE, linkname="/../../outside/secret")],
    [
        member("l", type=tarfile.SYMTYPE, linkname="../outside"),
        member("h", type=tarfile.LNKTYPE, linkname="l/secret"),
    ],
    [member("l", type=tarfile.SYMTYPE, linkname="../outside"), member("l/.wh.secret")],
    [member("l", type=tarfile.SYMTYPE, linkname="../outside"), member("l/.wh..wh..opq")],
    [
        member("l", type=tarfile.SYMTYPE, linkname="../outside"),
        member("l", type=tarfile.DIRTYPE, mode=0o777),
        member("l/secret", b"x"),
    ],
    [member(".wh...", b""), member(".wh.", b"")],
    [member("..", type=tarfile.DIRTYPE, mode=0o777)],
]


@pytest.mark.parametrize("members", HOSTILE)
def test_no_tar_reaches_out_of_its_root(tmp_path: Path, root: Path, members: list[Member]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    before = (os.stat(outside).st_mode, os.stat(tmp_path).st_mode)
    with contextlib.suppress(InvalidParameter):
        apply(root, *members)
    assert sorted(os.listdir(tmp_path)) == ["outside", "root"]
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert os.stat(outside / "secret").st_nlink == 1
    assert os.listxattr(outside) == []
    assert (os.stat(outside).st_mode, os.stat(tmp_path).st_mode) == before
    assert not os.path.exists("/escaped")


def test_overlays_own_attributes_are_not_taken_from_a_tar(root: Path) -> None:
    forged = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.opaque": "y"}
    apply(root, member("d", type=tarfile.DIRTYPE, pax_headers=forged), member("f", b"x", pax_headers=forged))
    assert os.listxattr(root / "d") == []
    assert os.listxattr(root / "f") == []


def written(root: Path) -> bytes:
    output = io.BytesIO()
    diff_layer(os.fspath(root), output.write)
    return output.getvalue()


def test_what_is_written_lays_down_the_same_tree(tmp_path: Path, root: Path) -> None:
    apply(
        root,
        member("d", type=tarfile.DIRTYPE, mode=0o2750, uid=3, gid=4, mtime=5),
        member("d/" + "n" * 120, b"long", mode=0o6711, uid=3_000_000, mtime=6,
               pax_headers={"SCHILY.xattr.user.a": "b"}),
        member("d/ü", b"utf-8", mtime=7),
        member("h", type=tarfile.LNKTYPE, linkname="d/ü"),
        member("s", type=tarfile.SYMTYPE, linkname="x" * 150, mtime=8),
        member("gone/.wh.x"),
        member("opaque/.wh..wh..opq"),
        member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    )  # fmt: skip
    first = written(root)
    again = tmp_path / "again"
    again.mkdir()
    apply_layer(os.fspath(again), io.BytesIO(first))
    assert written(again) == first
    assert os.stat(again / "h").st_ino == os.stat(again / "d/ü").st_ino
    assert os.getxattr(again / "opaque", "trusted.overlay.opaque") == b"y"
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        names = archive.getnames()
    assert "gone/.wh.x" in names
    assert "opaque/.wh..wh..opq" in names


def test_labels_of_this_host_stay_here_and_capabilities_go_along(root: Path) -> None:
    file = root / "file"
    file.write_bytes(b"x")
    capability = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    for name, value in (
        ("security.selinux", b"a_label"),
        ("security.capability", capability),
        ("user.a", b"b"),
    ):
        os.setxattr(file, name, value)
    with tarfile.open(fileobj=io.BytesIO(written(root))) as archive:
        headers = archive.getmember("file").pax_headers
    assert {key for key in headers if "xattr" in key} == {
        "SCHILY.xattr.security.capability",
        "SCHILY.xattr.user.a",
    }
    assert sorted(extended_attributes(os.fspath(file))) == [b"security.capability", b"user.a"]


def test_a_socket_is_left_out(root: Path) -> None:

    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(root / "socket"))
        (root / "file").write_bytes(b"x")
        with tarfile.open(fileobj=io.BytesIO(written(root))) as archive:
            assert archive.getnames() == ["file"]


Change = Callable[[Path], object]


@pytest.mark.parametrize(
    "change", [lambda file: file.write_bytes(b"longer than before"), lambda file: file.write_bytes(b"")]
)
def test_a_file_that_changes_while_it_is_written_does_not_break_the_tar(root: Path, change: Change) -> None:
    for name in ("a", "b"):
        (root / name).write_bytes(b"y" * (1 << 20))
    output = io.BytesIO()

    def write(data: bytes) -> None:
        if output.tell() == 0:
            change(root / "a")
        output.write(data)

    diff_layer(os.fspath(root), write)
    output.seek(0)
    with tarfile.open(fileobj=output) as archive:
        assert archive.getnames() == ["a", "b"]
