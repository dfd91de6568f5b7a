import os
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argosy.runtime import logfile
from argosy.runtime.logfile import STDERR, STDOUT, Frame, Writer, path_of, position_of_tail, read_frames

FRAMES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=40)), max_size=12
)
quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fresh(tmp_path: Path) -> str:
    directory = tmp_path / f"log{len(os.listdir(tmp_path))}"
    directory.mkdir()
    return os.fspath(directory)


def write(directory: str, frames: list[tuple[int, bytes]], max_size: int = 0, max_files: int = 1) -> Writer:
    writer = Writer(directory, max_size, max_files)
    for stream, payload in frames:
        writer.write(stream, payload)
    writer.close()
    return writer


def frames_of(directory: str, age: int = 0) -> list[Frame]:
    descriptor = os.open(path_of(directory, age), os.O_RDONLY)
    try:
        return [frame for _, frame in read_frames(descriptor, 0)]
    finally:
        os.close(descriptor)


def payloads(directory: str, age: int = 0) -> list[tuple[int, bytes]]:
    return [(frame.stream, frame.payload) for frame in frames_of(directory, age)]


@quick
@given(FRAMES)
def test_frames_come_back_as_they_were_written(tmp_path: Path, frames: list[tuple[int, bytes]]) -> None:
    directory = fresh(tmp_path)
    write(directory, frames)
    assert payloads(directory) == frames
    times = [frame.time for frame in frames_of(directory)]
    assert times == sorted(times)


@quick
@given(FRAMES.filter(bool), st.data())
def test_a_torn_last_frame_is_cut_off_by_the_next_writer(
    tmp_path: Path, frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    directory = fresh(tmp_path)
    write(directory, frames)
    last = len(frames[-1][1]) + logfile.OVERHEAD
    size = os.path.getsize(path_of(directory))
    os.truncate(path_of(directory), size - data.draw(st.integers(1, last)))
    assert payloads(directory) == frames[:-1]
    write(directory, [(STDOUT, b"after")])
    assert payloads(directory) == [*frames[:-1], (STDOUT, b"after")]


def test_a_reader_waits_for_the_rest_of_a_frame(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    write(directory, [(STDOUT, b"one"), (STDOUT, b"two")])
    whole = Path(path_of(directory)).read_bytes()
    Path(path_of(directory)).write_bytes(whole[:-1])
    descriptor = os.open(path_of(directory), os.O_RDONLY)
    [(position, frame)] = read_frames(descriptor, 0)
    assert frame.payload == b"one"
    assert list(read_frames(descriptor, position)) == []
    Path(path_of(directory)).write_bytes(whole)
    assert [frame.payload for _, frame in read_frames(descriptor, position)] == [b"two"]
    os.close(descriptor)


def test_a_log_that_is_damaged_is_said_to_be(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    Path(path_of(directory)).write_bytes(b"\0" * 40)
    with pytest.raises(ValueError, match="damaged"):
        frames_of(directory)


def test_a_log_is_not_readable_by_everybody(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    write(directory, [])
    assert os.stat(path_of(directory)).st_mode & 0o007 == 0


def test_a_full_file_becomes_the_one_before_it(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    frame = 10 + logfile.OVERHEAD
    write(directory, [(STDOUT, bytes([48 + number]) * 10) for number in range(6)], 2 * frame, 3)
    kept = [[payload[:1] for _, payload in payloads(directory, age)] for age in (2, 1, 0)]
    assert kept == [[b"0", b"1"], [b"2", b"3"], [b"4", b"5"]]


def test_the_oldest_file_goes_when_there_are_enough(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    write(directory, [(STDOUT, bytes([48 + number]) * 10) for number in range(9)], 10 + logfile.OVERHEAD, 3)
    assert sorted(os.listdir(directory)) == ["container.log", "container.log.1", "container.log.2"]
    assert [payloads(directory, age)[0][1][:1] for age in (2, 1, 0)] == [b"6", b"7", b"8"]


def test_with_one_file_the_log_begins_anew(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    write(directory, [(STDOUT, b"first"), (STDOUT, b"second")], 30, 1)
    assert os.listdir(directory) == ["container.log"]
    assert payloads(directory) == [(STDOUT, b"second")]


def test_no_limit_means_no_rotation(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    write(directory, [(STDOUT, b"x" * 1000)] * 50, 0, 5)
    assert os.listdir(directory) == ["container.log"]


def test_a_frame_larger_than_the_limit_is_kept_whole(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    write(directory, [(STDOUT, b"x" * 500)] * 2, 100, 2)
    assert payloads(directory) == payloads(directory, 1) == [(STDOUT, b"x" * 500)]


def test_what_a_full_disk_swallows_is_counted_and_leaves_no_torn_frame(tmp_path: Path) -> None:
    directory = fresh(tmp_path)
    writer = Writer(directory, 0, 1)
    writer.write(STDOUT, b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on a file's size fails in the middle of a write, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path_of(directory)) + 18, limits[1]))
    try:
        writer.write(STDOUT, b"lost!")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert writer.lost == 5
    writer.write(STDOUT, b"after")
    writer.close()
    assert payloads(directory) == [(STDOUT, b"before"), (STDOUT, b"after")]


LINES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.sampled_from([b"a\n", b"b", b"c\nd\n", b"e\nf"]))
)


@quick
@given(LINES, st.integers(0, 8), st.sampled_from([(STDOUT,), (STDERR,), (STDOUT, STDERR)]))
def test_at_least_the_wanted_lines_follow_the_tails_position(
    tmp_path: Path, frames: list[tuple[int, bytes]], wanted: int, streams: tuple[int, ...]
) -> None:
    directory = fresh(tmp_path)
    write(directory, frames)
    descriptor = os.open(path_of(directory), os.O_RDONLY)
    start = position_of_tail(descriptor, wanted, streams)
    followed = b"".join(
        frame.payload for _, frame in read_frames(descriptor, start) if frame.stream in streams
    )
    everything = b"".join(payload for stream, payload in frames if stream in streams)
    os.close(descriptor)
    assert everything.endswith(followed)
    assert (
        followed.splitlines()[-wanted or len(followed) :]
        == everything.splitlines()[-wanted or len(everything) :]
    )
    assert len(followed.splitlines()) >= min(wanted, len(everything.splitlines()))
