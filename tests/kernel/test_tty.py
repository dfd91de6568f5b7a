"""Terminals on a real kernel."""

import fcntl
import os
import struct
import termios
from pathlib import Path

import pytest

import descriptors
from argosy.linux import tty

pytestmark = pytest.mark.root


def size_of(descriptor: int) -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns


def test_what_is_written_to_one_end_is_read_at_the_other() -> None:
    master, slave, number = tty.open_pty()
    try:
        assert os.ttyname(slave) == f"/dev/pts/{number}"
        os.write(slave, b"out\n")
        assert os.read(master, 10) == b"out\r\n"
        os.write(master, b"in\n")
        assert os.read(slave, 10) == b"in\n"
    finally:
        os.close(master)
        os.close(slave)


def test_neither_end_is_inherited() -> None:
    master, slave, _ = tty.open_pty()
    try:
        assert not os.get_inheritable(master)
        assert not os.get_inheritable(slave)
    finally:
        os.close(master)
        os.close(slave)


def test_the_size_is_the_terminals_and_seen_at_both_ends() -> None:
    master, slave, _ = tty.open_pty()
    try:
        tty.set_size(master, 24, 80)
        assert size_of(slave) == (24, 80)
        tty.set_size(slave, 50, 132)
        assert size_of(master) == (50, 132)
    finally:
        os.close(master)
        os.close(slave)


def test_something_else_in_the_multiplexers_place_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ptmx"
    file.touch()
    before = descriptors.opened()
    for path in (os.fspath(file), "/dev/null"):
        with pytest.raises(OSError, match="not a terminal multiplexer"):
            tty.open_pty(path)
    assert not descriptors.left_open(before)


def test_a_link_in_the_multiplexers_place_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "ptmx"
    link.symlink_to("/dev/pts/ptmx")
    with pytest.raises(OSError, match="symbolic links"):
        tty.open_pty(os.fspath(link))


def test_a_session_leader_can_make_it_its_controlling_terminal() -> None:
    master, slave, _ = tty.open_pty()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            tty.make_controlling(slave)
            os._exit(0 if os.open("/dev/tty", os.O_RDWR) >= 0 else 1)
        finally:
            os._exit(2)
    os.close(slave)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(master)
