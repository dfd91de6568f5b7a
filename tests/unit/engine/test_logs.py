"""Reading logs, on files that a real writer wrote."""

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import descriptors
from argosy.engine.logs import Query, Reader
from argosy.runtime import logfile
from argosy.runtime.logfile import STDERR, STDOUT, Writer
from argosy.units import rfc3339_fixed

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(directory: Path, *frames: tuple[int, bytes], max_size: int = 0, max_files: int = 1) -> None:
    writer = Writer(os.fspath(directory), max_size, max_files)
    for stream, payload in frames:
        writer.write(stream, payload)
    writer.close()


def at(directory: Path, *frames: tuple[int, bytes]) -> None:
    """Frames with times of their own, all on stdout."""
    with open(logfile.path_of(os.fspath(directory)), "ab") as file:
        for moment, payload in frames:
            file.write(struct.pack("<BBHIQ", logfile.MAGIC, STDOUT, 0, len(payload), moment) + payload)
            file.write(struct.pack("<I", len(payload)))


def reader(directory: Path, *, terminal: bool = True, **query: Any) -> Reader:
    return Reader(os.fspath(directory), Query(**{"stdout": True, "stderr": True, **query}), terminal=terminal)


def everything(directory: Path, **query: Any) -> bytes:
    opened = reader(directory, **query)
    parts = []
    while data := opened.read():
        parts.append(data)
    opened.close()
    return b"".join(parts)


def test_a_log_is_framed_as_it_was_when_attached(tmp_path: Path) -> None:
    write(tmp_path, (STDOUT, b"out\n"), (STDERR, b"err\n"))
    assert everything(tmp_path, terminal=False) == b"\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n"
    assert everything(tmp_path) == b"out\nerr\n"


def test_streams_are_chosen(tmp_path: Path) -> None:
    write(tmp_path, (STDOUT, b"out\n"), (STDERR, b"err\n"))
    assert everything(tmp_path, stderr=False) == b"out\n"
    assert everything(tmp_path, stdout=False) == b"err\n"


def test_a_container_that_never_ran_has_no_log(tmp_path: Path) -> None:
    assert everything(tmp_path) == everything(tmp_path, tail=5) == b""


FRAMES = st.lists(
    st.sampled_from([b"a\n", b"bc", b"d\ne\n", b"f\ng", b"\n", b"\n\nh\n", b"x\r\ny"]), max_size=9
)


@quick
@given(FRAMES, st.integers(0, 8))
def test_the_tail_is_the_last_lines_however_they_were_written(
    tmp_path: Path, payloads: list[bytes], tail: int
) -> None:
    directory = tmp_path / str(len(os.listdir(tmp_path)))
    directory.mkdir()
    write(directory, *((STDOUT, payload) for payload in payloads))
    lines = b"".join(payloads).split(b"\n")
    lines = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    assert everything(directory, tail=tail) == b"".join(
        lines[len(lines) - tail if tail < len(lines) else 0 :]
    )


def test_the_tail_reaches_into_the_files_before(tmp_path: Path) -> None:
    frames = [(STDOUT, b"%d\n" % number) for number in range(8)]
    write(tmp_path, *frames, max_size=2 * (2 + logfile.OVERHEAD), max_files=3)
    assert everything(tmp_path) == b"2\n3\n4\n5\n6\n7\n"
    assert everything(tmp_path, tail=3) == b"5\n6\n7\n"
    assert everything(tmp_path, tail=5) == b"3\n4\n5\n6\n7\n"
    assert everything(tmp_path, tail=99) == b"2\n3\n4\n5\n6\n7\n"


def test_a_tail_counts_the_lines_of_the_streams_asked_for(tmp_path: Path) -> None:
    write(tmp_path, (STDOUT, b"1\n"), (STDERR, b"x\n"), (STDOUT, b"2\n"), (STDERR, b"y\n"), (STDERR, b"z\n"))
    assert everything(tmp_path, stderr=False, tail=1) == b"2\n"
    assert everything(tmp_path, tail=3) == b"2\ny\nz\n"


def test_since_and_until_bound_the_time(tmp_path: Path) -> None:
    at(tmp_path, (10, b"a\n"), (20, b"b\n"), (30, b"c\n"), (40, b"d\n"))
    assert everything(tmp_path, since=20) == b"b\nc\nd\n"
    assert everything(tmp_path, until=20) == b"a\nb\n"
    assert everything(tmp_path, since=15, until=35) == b"b\nc\n"


def test_until_ends_a_reader_that_follows(tmp_path: Path) -> None:
    at(tmp_path, (10, b"a\n"), (50, b"b\n"))
    opened = reader(tmp_path, until=20, follow=True)
    assert opened.read() == b"a\n"
    assert opened.done
    opened.close()


def test_a_tail_is_taken_first_and_what_is_too_old_of_it_left_out(tmp_path: Path) -> None:
    at(tmp_path, (10, b"a\n"), (20, b"b\n"), (30, b"c\n"), (40, b"d\n"), (50, b"e\n"))
    assert everything(tmp_path, tail=2, since=30) == b"d\ne\n"
    assert everything(tmp_path, tail=4, since=45) == b"e\n"


def test_every_line_has_its_time_and_a_line_in_parts_has_one(tmp_path: Path) -> None:
    at(tmp_path, (10, b"a\nb\n"), (20, b"par"), (30, b"tial\nc\r\n"))
    first, second, third = (rfc3339_fixed(moment).encode() for moment in (10, 20, 30))
    assert everything(tmp_path, timestamps=True) == (
        first + b" a\n" + first + b" b\n" + second + b" partial\n" + third + b" c\r\n"
    )


def test_a_line_ends_at_a_line_feed_and_at_nothing_else(tmp_path: Path) -> None:
    at(tmp_path, (10, b"a\x0bb\x0cc\x1cd\x85e\n"))
    assert everything(tmp_path, timestamps=True).count(rfc3339_fixed(10).encode()) == 1


def test_what_is_written_later_is_read_later(tmp_path: Path) -> None:
    write(tmp_path, (STDOUT, b"1\n"))
    opened = reader(tmp_path)
    assert opened.read() == b"1\n"
    assert opened.read() == b""
    write(tmp_path, (STDOUT, b"2\n"))
    assert opened.read() == b"2\n"
    opened.close()


def test_a_log_that_begins_after_its_reader_is_read(tmp_path: Path) -> None:
    opened = reader(tmp_path)
    assert opened.read() == b""
    write(tmp_path, (STDOUT, b"1\n"))
    assert opened.read() == b"1\n"
    opened.close()


@pytest.mark.parametrize("files", [2, 3])
def test_rotation_loses_nothing_for_a_reader_that_keeps_up(tmp_path: Path, files: int) -> None:
    writer = Writer(os.fspath(tmp_path), 60, files)
    opened = reader(tmp_path)
    got = b""
    for number in range(40):
        writer.write(STDOUT, b"line %d\n" % number)
        got += opened.read()
    assert got == b"".join(b"line %d\n" % number for number in range(40))
    writer.close()
    opened.close()


def test_a_log_of_one_file_that_begins_anew_is_read_anew(tmp_path: Path) -> None:
    writer = Writer(os.fspath(tmp_path), 50, 1)
    opened = reader(tmp_path)
    writer.write(STDOUT, b"a long line\n")
    assert opened.read() == b"a long line\n"
    writer.write(STDOUT, b"another\n")
    assert opened.read() == b"another\n"
    writer.write(STDOUT, b"x\n")
    assert opened.read() == b"x\n"
    writer.close()
    opened.close()


def test_a_large_log_comes_in_parts(tmp_path: Path) -> None:
    write(tmp_path, *[(STDOUT, bytes(1 << 16))] * 40)
    opened = reader(tmp_path)
    sizes = []
    while data := opened.read():
        sizes.append(len(data))
    opened.close()
    assert sum(sizes) == 40 << 16
    assert max(sizes) <= (1 << 20) + (1 << 16)


def test_closing_leaves_no_file_open(tmp_path: Path) -> None:
    write(tmp_path, *[(STDOUT, b"x" * 20)] * 6, max_size=50, max_files=4)
    before = descriptors.opened()
    opened = reader(tmp_path, tail=1)
    opened.read()
    opened.close()
    assert not descriptors.left_open(before)


def test_a_reader_that_slept_through_several_rotations_misses_nothing(tmp_path: Path) -> None:
    writer = Writer(os.fspath(tmp_path), 50, 5)
    writer.write(STDOUT, b"0" * 30 + b"\n")
    reader = Reader(os.fspath(tmp_path), Query(stdout=True, stderr=True), terminal=True)
    seen = reader.read()
    for digit in b"123":
        writer.write(STDOUT, bytes([digit]) * 30 + b"\n")
    while data := reader.read():
        seen += data
    reader.close()
    writer.close()
    assert seen.split() == [digit * 30 for digit in (b"0", b"1", b"2", b"3")]
