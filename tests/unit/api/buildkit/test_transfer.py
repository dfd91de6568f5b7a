import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from argosy.api.buildkit.connection import Call, RpcError
from argosy.api.buildkit.sending import Sender
from argosy.api.buildkit.transfer import (
    GO_CHARACTER,
    GO_DEVICE,
    GO_DIRECTORY,
    GO_LINK,
    GO_SETUID,
    GO_SOCKET,
    Hostile,
    Receiver,
    permissions,
)
from argosy.build.release import OutputTree
from argosy.errors import InvalidParameter
from argosy.spec.buildkit import DATA, ERROR, FINISH, STAT, Packet, Stat
from argosy.wire import protobuf

from .loop import connected


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _transfer(source: Path, target: Path) -> int:
    """Returns how many bytes went over."""

    def serve(call: Call) -> None:
        with _opened(source) as root:
            Sender(call, [OutputTree("", root)]).run()

    with connected(serve) as client, _opened(target) as root:
        return Receiver(client.call("/copy"), root, lambda _: None).run()


def _receive(packets: list[Packet], target: Path) -> None:
    """From a sender that sends just these."""

    def serve(call: Call) -> None:
        for packet in packets:
            call.send(protobuf.encode(packet))
        for _ in call:
            pass

    with connected(serve) as client, _opened(target) as root:
        Receiver(client.call("/copy"), root, lambda _: None).run()


def _shown(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        what: object = b""
        if path.is_symlink():
            what = os.readlink(path)
        elif path.is_file():
            what = path.read_bytes()
        mtime = status.st_mtime_ns
        found[str(path.relative_to(root))] = (status.st_mode, mtime, status.st_nlink, what)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "a" / "deep" / "er").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"dot sorts before slash")
    (root / "a" / "deep" / "file").write_bytes(os.urandom(200_000))
    (root / "empty").touch()
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o4755)
    (root / "link").symlink_to("/etc/passwd")
    (root / "hard").hardlink_to(root / "run.sh")
    os.mkfifo(root / "pipe")
    (root / "ünï \x01").write_text("x")
    os.close(os.open(os.fsencode(root) + b"/caf\xe9", os.O_CREAT, 0o600))
    (root / "a" / "deep").chmod(0o750)
    os.utime(root / "a" / "deep", ns=(1_000_000_001, 1_000_000_001))
    os.utime(root / "link", ns=(5, 5), follow_symlinks=False)
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "target"
    path.mkdir()
    return path


def test_a_tree_arrives_as_it_is(source: Path, target: Path) -> None:
    _transfer(source, target)
    there, here = _shown(source), _shown(target)
    assert here.pop("pipe")[0] == there.pop("pipe")[0]
    assert here == there


def test_what_is_there_does_not_travel_again(source: Path, target: Path) -> None:
    first = _transfer(source, target)
    inode = (target / "a" / "deep" / "file").stat().st_ino
    assert _transfer(source, target) < 2_000 < first
    assert (target / "a" / "deep" / "file").stat().st_ino == inode


def test_what_has_changed_does_and_what_has_gone_goes(source: Path, target: Path) -> None:
    _transfer(source, target)
    (source / "a.txt").unlink()
    (source / "a.txt").mkdir()
    (source / "empty").write_bytes(b"no more")
    (source / "link").unlink()
    (source / "link").symlink_to("other")
    (source / "a" / "deep" / "file").unlink()
    (source / "hard").unlink()
    (source / "hard").write_bytes(b"#!/bin/sh\n")
    _transfer(source, target)
    there, here = _shown(source), _shown(target)
    assert here.pop("pipe")[0] == there.pop("pipe")[0]
    assert here == there


def test_many_files_arrive(tmp_path: Path, target: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for number in range(1_500):
        (root / f"{number:05}").write_text(str(number))
    _transfer(root, target)
    assert _shown(root) == _shown(target)


def _stat(path: str, mode: int = 0o644, **more: object) -> Packet:
    return Packet(stat=Stat(path, mode, **more))  # type: ignore[arg-type]


_END = Packet(type=STAT)


@pytest.mark.parametrize(
    "path",
    ["../x", "/x", "a/../x", ".", "", "a//b", "a/", "missing/x", "x\0y", "a/./b", "y" * 5000],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str, tmp_path: Path, target: Path) -> None:
    with pytest.raises(Hostile):
        _receive([_stat("a", 0o755 | GO_DIRECTORY), _stat(path), _END], target)
    assert sorted(os.listdir(tmp_path)) == ["target"]


def test_nothing_is_written_through_a_link(tmp_path: Path, target: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = _stat("d", 0o777 | GO_LINK, link_name=str(outside))
    with pytest.raises(Hostile):
        _receive([link, _stat("d/x"), _END], target)
    (target / "e").symlink_to(outside)
    _receive(
        [_stat("e", 0o755 | GO_DIRECTORY), _stat("e/x"), _END, Packet(DATA, id=1, data=b"x"),
         Packet(DATA, id=1), Packet(FINISH)],
        target,
    )  # fmt: skip
    assert os.listdir(outside) == []
    assert (target / "e" / "x").read_bytes() == b"x"


@pytest.mark.parametrize(
    "packets",
    [
        [_stat("dev", 0o600 | GO_DEVICE | GO_CHARACTER, device_major=1, device_minor=1)],
        [_stat("x"), _stat("x")],
        [_stat("h", link_name="../../etc/passwd")],
        [_stat("d", 0o755 | GO_DIRECTORY), _stat("h", link_name="d")],
        [_END, _stat("late")],
        [Packet(DATA, id=7, data=b"x")],
        [_stat("x"), Packet(DATA, id=0), Packet(DATA, id=0, data=b"x")],
        [Packet(FINISH)],
        [Packet(type=9)],
    ],
)
def test_packets_that_no_client_sends_are_refused(packets: list[Packet], target: Path) -> None:
    with pytest.raises(Hostile):
        _receive(packets, target)


def test_bytes_that_are_no_packet_are_refused(target: Path) -> None:
    def serve(call: Call) -> None:
        call.send(b"\x0b\xff")

    with connected(serve) as client, _opened(target) as root, pytest.raises(Hostile, match="packet"):
        Receiver(client.call("/copy"), root, lambda _: None).run()


def test_a_sender_that_ends_early_has_not_sent_it_all(target: Path) -> None:
    def serve(call: Call) -> None:
        call.send(protobuf.encode(_stat("x")))

    with connected(serve) as client, _opened(target) as root, pytest.raises(Hostile, match="before its end"):
        Receiver(client.call("/copy"), root, lambda _: None).run()


def test_a_senders_error_is_told(target: Path) -> None:
    with pytest.raises(InvalidParameter, match="error from sender: no such thing"):
        _receive([Packet(ERROR, data=b"no such thing")], target)


def test_a_senders_refusal_is_told(target: Path) -> None:
    def serve(call: Call) -> None:
        raise RpcError(5, "no access allowed to dir")

    with connected(serve) as client, _opened(target) as root, pytest.raises(RpcError, match="no access"):
        Receiver(client.call("/copy"), root, lambda _: None).run()


def test_sockets_are_left_out(target: Path) -> None:
    _receive([_stat("s", 0o755 | GO_SOCKET), _END, Packet(FINISH)], target)
    assert os.listdir(target) == []


def test_gos_bits_are_the_kernels() -> None:
    assert permissions(0o755 | GO_SETUID | GO_DIRECTORY) == 0o755 | stat.S_ISUID
