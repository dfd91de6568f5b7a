"""Laying a tar down in a tree that is there already."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from argosy.errors import InvalidParameter
from argosy.image.tree_tar import TreeTar
from argosy.image.tree_unpack import _MOST_HELD, _Unpacker, unpack
from tree_samples import describe


def made(*entries: tuple[str, str, str]) -> io.BytesIO:
    """(name, kind as in `find -type`, target or content)."""
    kinds = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, kind, text in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kinds[kind], 0o750, 5, 6, 1000
            content = text.encode() if kind == "f" else b""
            entry.linkname = "" if kind == "f" else text
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    output.seek(0)
    return output


def lay(root: Path, place: str, archive: io.BytesIO, **options: object) -> None:
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        unpack(descriptor, place, archive, **options)  # type: ignore[arg-type]
    finally:
        os.close(descriptor)


def test_the_place_may_be_deep_and_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/kept").write_text("old")
    lay(tmp_path, "/a/b", made(("c", "d", ""), ("c/f", "f", "new"), (".wh.kept", "f", "")))
    assert (tmp_path / "a/b/c/f").read_text() == "new"
    assert (tmp_path / "a/b/kept").read_text() == "old"
    assert (tmp_path / "a/b/.wh.kept").exists()
    status = (tmp_path / "a/b/c").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (5, 6, 0o750)
    assert status.st_mtime == 1000


def test_all_may_get_another_name_and_owner(tmp_path: Path) -> None:
    archive = made(("s", "d", ""), ("s/f", "f", "x"), ("s/h", "h", "s/f"), ("s/l", "l", "s/f"))
    lay(tmp_path, "", archive, name=b"other", owner=(0, 0))
    assert (tmp_path / "other/f").stat().st_nlink == 2
    assert (tmp_path / "other/h").stat().st_uid == 0
    assert os.readlink(tmp_path / "other/l") == "s/f"


@pytest.mark.parametrize("target", ["/etc", "../../etc", "/", "trap"])
def test_no_link_leads_out(tmp_path: Path, target: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "etc"
    (root / "here").mkdir(parents=True)
    outside.mkdir()
    (root / "here/trap").symlink_to(target)
    (root / "here/made").symlink_to("../../etc")
    entries = (
        ("trap/evil", "f", "x"),
        ("made/evil", "f", "x"),
        ("../../../up", "f", "x"),
        ("h", "h", "../../etc/x"),
    )
    for entry in entries:
        try:
            lay(root, "here", made(entry))
        except InvalidParameter:
            continue
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc", "root"]


def test_kinds_are_kept_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "place/d").mkdir(parents=True)
    (tmp_path / "place/f").write_text("")
    for name, kind, complaint in (
        ("f", "d", 'cannot overwrite non-directory "f" with directory "/place"'),
        ("d", "f", 'cannot overwrite directory "d" with non-directory "/place"'),
    ):
        with pytest.raises(InvalidParameter) as caught:
            lay(tmp_path, "/place", made((name, kind, "")), keep_kinds=True)
        assert caught.value.message == complaint
        lay(tmp_path, "/place", made((name, kind, "")))
    assert (tmp_path / "place/f").is_dir()
    assert (tmp_path / "place/d").is_file()


def test_what_was_laid_down_before_a_failure_is_whole(tmp_path: Path) -> None:
    data = made(("d", "d", ""), ("d/f", "f", "x" * 2000)).getvalue()
    with pytest.raises(InvalidParameter):
        lay(tmp_path, "", io.BytesIO(data[:2048]))
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750


def test_a_tree_written_and_laid_down_is_the_same(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "d/e").mkdir(parents=True)
    (source / "d/f").write_bytes(b"x" * 70_000)
    (source / "d/g").hardlink_to(source / "d/f")
    (source / "d/f").chmod(0o6755)
    (source / os.fsdecode(b"\xff" * 200)).symlink_to("y" * 3000)
    os.mkfifo(source / "fifo")
    with open(source / "sparse", "wb") as file:
        file.truncate(10 << 20)
        file.seek(5 << 20)
        file.write(b"middle")
    os.setxattr(source / "d/f", "user.note", b"\xff\0")
    os.utime(source / "d/e", ns=(1, 1_234_567_890_123_456_789))
    target.mkdir()
    output = io.BytesIO()
    archive = TreeTar(output.write)
    archive.path(os.fsencode(source) + b"/.", b".")
    archive.finish()
    output.seek(0)
    lay(target, "", output)
    assert describe(target) == describe(source)
    assert (target / "sparse").stat().st_blocks * 512 < 1 << 20


KINDS = {"p": tarfile.FIFOTYPE, "c": tarfile.CHRTYPE, "l": tarfile.SYMTYPE}


def special(name: str, kind: str, mode: int) -> io.BytesIO:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.devmajor, entry.devminor, entry.linkname = KINDS[kind], mode, 1, 3, "x"
        entry.uid = entry.gid = 7
        archive.addfile(entry)
    output.seek(0)
    return output


class Swapped:
    """Whoever runs in the tree puts a link to `victim` in the place of what has just been made there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, victim: Path) -> None:
        self.done = 0
        made = getattr(os, call)

        def hostile(name: bytes, *arguments: object, dir_fd: int) -> None:
            made(name, *arguments, dir_fd=dir_fd)
            os.rename(name, b"aside", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.symlink(os.fsencode(victim), name, dir_fd=dir_fd)
            self.done += 1

        monkeypatch.setattr(os, call, hostile)


@pytest.mark.parametrize(
    ("archive", "call"),
    [
        (special("fifo", "p", 0o777), "mknod"),
        (special("device", "c", 0o777), "mknod"),
        (made(("implied/file", "f", "x")), "mkdir"),
        (made(("stated", "d", "")), "mkdir"),
    ],
)
def test_no_mode_or_owner_goes_through_a_link_that_is_swapped_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: io.BytesIO, call: str
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    root = tmp_path / "root"
    root.mkdir()
    before = victim.stat()
    swapped = Swapped(monkeypatch, call, victim)
    with pytest.raises(InvalidParameter):
        lay(root, "", archive)
    assert swapped.done
    after = victim.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.listdir(victim) == []


def test_a_directory_that_has_been_moved_keeps_what_it_was_to_have_and_its_heir_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the heir is another directory of the same tree, to which a link leads."""
    (tmp_path / "secret").mkdir(mode=0o700)
    finish = _Unpacker.finish_directories

    def hostile(self: _Unpacker) -> None:
        (tmp_path / "open").rename(tmp_path / "moved")
        (tmp_path / "open").symlink_to("secret")
        finish(self)

    monkeypatch.setattr(_Unpacker, "finish_directories", hostile)
    lay(tmp_path, "", made(("open", "d", ""), ("open/f", "f", "x")))
    assert (tmp_path / "secret").stat().st_uid == 0
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o700
    assert (tmp_path / "moved").stat().st_uid == 5


def test_more_directories_than_are_held_open_all_get_their_owner_mode_and_time(tmp_path: Path) -> None:
    names = [f"d{number}" for number in range(_MOST_HELD + 50)]
    lay(tmp_path, "", made(*((name, "d", "") for name in names), *((f"{name}/f", "f", "") for name in names)))
    for name in names:
        status = (tmp_path / name).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode), status.st_mtime) == (5, 0o750, 1000)
