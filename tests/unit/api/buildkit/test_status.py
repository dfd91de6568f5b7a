import threading

from argosy.api.buildkit.connection import Call
from argosy.api.buildkit.status import Board, Translation, timestamp
from argosy.build.progress import Began, Counted, Ended, Said, Warned
from argosy.spec.buildkit import SourceInfo, StatusResponse, Timestamp, VertexLog
from argosy.wire import protobuf

from .loop import connected

_SECOND = 1_000_000_000


def test_a_step_begins_speaks_and_ends_as_one_vertex() -> None:
    translation = Translation("ref")
    (begun,) = translation.respond(Began(2, "RUN x", 5 * _SECOND + 7, inputs=[1])).vertexes
    assert (begun.name, begun.started, begun.completed) == ("RUN x", Timestamp(5, 7), None)
    assert begun.inputs == [translation.digest(1)]
    (log,) = translation.respond(Said(2, 1, b"hello", 6 * _SECOND)).logs
    assert (log.vertex, log.message, log.stream) == (begun.digest, b"hello", 1)
    (ended,) = translation.respond(Ended(2, 9 * _SECOND, cached=True)).vertexes
    assert (ended.digest, ended.started, ended.completed) == (begun.digest, begun.started, Timestamp(9))
    assert ended.cached
    assert (translation.total, translation.cached, translation.completed) == (1, 1, 1)


def test_a_failure_is_the_vertexs_error() -> None:
    translation = Translation("ref")
    translation.respond(Began(1, "x", 0))
    (ended,) = translation.respond(Ended(1, 1, error="no")).vertexes
    assert ended.error == "no"
    assert translation.completed == 0


def test_a_count_keeps_when_it_began() -> None:
    translation = Translation("ref")
    translation.respond(Began(1, "x", 0))
    translation.respond(Counted(1, "layer", 1, 10, _SECOND))
    (status,) = translation.respond(Counted(1, "layer", 10, 10, 3 * _SECOND, done=True)).statuses
    assert (status.started, status.completed) == (Timestamp(1), Timestamp(3))


def test_steps_of_two_counts_are_told_apart_and_so_are_builds() -> None:
    translation = Translation("ref")
    (one,) = translation.respond(Began(1, "x", 0)).vertexes
    (other,) = translation.respond(Began(1, "y", 0), offset=100).vertexes
    (elsewhere,) = Translation("other").respond(Began(1, "x", 0)).vertexes
    assert len({one.digest, other.digest, elsewhere.digest}) == 3


def test_a_warning_shows_the_lines() -> None:
    translation = Translation("ref")
    translation.source = SourceInfo("Dockerfile", b"FROM x")
    (warning,) = translation.respond(Warned("bad", "because", "http://x", 1, 2)).warnings
    assert (warning.short, warning.detail, warning.url) == (b"bad", [b"because"], "http://x")
    assert warning.info is not None
    (lines,) = warning.ranges
    assert lines.start is not None and lines.end is not None
    assert (lines.start.line, lines.end.line) == (1, 2)


def test_times_have_seconds_and_nanoseconds() -> None:
    assert timestamp(12 * _SECOND + 34) == Timestamp(12, 34)


def test_a_board_keeps_what_nobody_has_read_yet() -> None:
    board = Board()
    board.put(StatusResponse(logs=[VertexLog("a", message=b"early")]))

    def serve(call: Call) -> None:
        for data in board.read(call):
            call.send(data)

    with connected(serve) as client:
        call = client.call("/status")
        first = call.receive()
        assert first is not None
        assert protobuf.decode(StatusResponse, first).logs[0].message == b"early"
        board.put(StatusResponse(logs=[VertexLog("a", message=b"late")]))
        board.close()
        assert len(list(call)) == 1


def test_a_board_is_over_when_it_was_read() -> None:
    board = Board()
    board.close()
    assert not board.is_over

    def serve(call: Call) -> None:
        call.answer()
        for data in board.read(call):
            call.send(data)

    with connected(serve) as client:
        assert list(client.call("/status")) == []
    assert board.is_over


def test_a_board_holds_a_build_back_no_longer_than_somebody_reads() -> None:
    board = Board()
    board.put(StatusResponse(logs=[VertexLog("a", message=b"first")]))

    def serve(call: Call) -> None:
        for data in board.read(call):
            call.send(data[:10])
            call.receive()

    done = threading.Event()

    def pour() -> None:
        for _ in range(10):
            board.put(StatusResponse(logs=[VertexLog("a", message=bytes(1 << 20))]))
        done.set()

    with connected(serve) as client:
        call = client.call("/status")
        assert call.receive()
        threading.Thread(target=pour).start()
        assert not done.wait(0.2)
        call.cancel()
        assert done.wait(5)
