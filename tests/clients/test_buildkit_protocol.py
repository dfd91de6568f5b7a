"""BuildKit's protocol as other clients than buildx speak it, and as hostile ones do."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from argosy.api.buildkit.connection import (
    NOT_FOUND,
    UNAVAILABLE,
    UNIMPLEMENTED,
    Call,
    Connection,
    Handle,
    RpcError,
)
from argosy.api.buildkit.sending import Sender
from argosy.api.buildkit.transfer import GO_DIRECTORY, GO_LINK
from argosy.build.release import OutputTree
from argosy.spec import buildkit as messages
from argosy.spec.buildkit import STAT, Packet, Stat
from argosy.wire import protobuf
from engine_fixture import LocalEngine

_CONTROL = "/moby.buildkit.v1.Control/"
_DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
_HEADERS = {
    "x-docker-expose-session-uuid": ["own-session"],
    "x-docker-expose-session-sharedkey": ["own-key"],
    "x-docker-expose-session-grpc-method": [_DIFF_COPY],
}


@contextlib.contextmanager
def _running(connection: Connection) -> Iterator[Connection]:
    thread = threading.Thread(target=connection.run)
    thread.start()
    try:
        yield connection
    finally:
        connection.close()
        thread.join()


def _upgraded(module_engine: LocalEngine, path: str, *headers: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(f"{module_engine.run}/argosy.sock")
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Length: 0", "Connection: Upgrade", "Upgrade: h2c"]
    connection.sendall("\r\n".join([*lines, *headers, "", ""]).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = connection.recv(1)
        assert data, head
        head += data
    assert head.startswith(b"HTTP/1.1 101 "), head
    return connection


@pytest.fixture
def control(module_engine: LocalEngine) -> Iterator[Connection]:
    with _running(Connection(_upgraded(module_engine, "/grpc"), None)) as connection:
        yield connection


@contextlib.contextmanager
def _session(module_engine: LocalEngine, handle: Handle) -> Iterator[None]:
    headers = [f"{name}: {value}" for name, values in _HEADERS.items() for value in values]
    with _running(Connection(_upgraded(module_engine, "/session", *headers), handle)):
        yield


def _files(root: Path) -> Handle:
    """All of a directory, whatever is asked for."""

    def handle(call: Call) -> None:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            Sender(call, [OutputTree("", descriptor)]).run()
        finally:
            os.close(descriptor)

    return handle


def _solve(control: Connection, ref: str, **attributes: str) -> dict[str, str]:
    request = messages.ControlSolveRequest(
        ref=ref,
        session="own-session",
        frontend="dockerfile.v0",
        frontend_attributes=attributes,
        exporters=[messages.Exporter("moby", {"name": f"own-{ref}"})],
    )
    call = control.call(_CONTROL + "Solve")
    call.send(protobuf.encode(request))
    call.end()
    answer = call.receive()
    assert answer is not None
    assert call.receive() is None
    return protobuf.decode(messages.ControlSolveResponse, answer).exporter_response


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY x /x\nRUN echo said\n")
    (tmp_path / "x").write_text("x\n")
    return tmp_path


def _status(control: Connection, ref: str) -> list[messages.StatusResponse]:
    call = control.call(_CONTROL + "Status")
    call.send(protobuf.encode(messages.StatusRequest(ref)))
    call.end()
    return [protobuf.decode(messages.StatusResponse, data) for data in call]


def test_a_client_may_name_the_frontend_at_once(
    module_engine: LocalEngine, control: Connection, context: Path
) -> None:
    with _session(module_engine, _files(context)):
        response = _solve(control, "direct")
    assert response["image.name"] == "docker.io/library/own-direct"
    assert module_engine.ok("run", "--rm", "own-direct", "cat", "/x") == "x"


def test_progress_can_be_read_after_the_end(
    module_engine: LocalEngine, control: Connection, context: Path
) -> None:
    with _session(module_engine, _files(context)):
        _solve(control, "late", **{"no-cache": ""})
    found = _status(control, "late")
    names = {vertex.name for each in found for vertex in each.vertexes}
    assert "[internal] load build context" in names and "exporting to image" in names
    assert b"said\n" in [log.message for each in found for log in each.logs]
    assert all(vertex.started for each in found for vertex in each.vertexes)


def test_a_build_without_any_step_has_progress_of_nothing(
    module_engine: LocalEngine, control: Connection, context: Path
) -> None:
    """Docker's client begins with one, and may ask how it goes when it is over."""
    with _session(module_engine, _files(context)):
        _solve(control, "stepless", requestid="frontend.subrequests.describe")
    assert _status(control, "stepless") == []


def test_a_session_may_be_inside_a_call(
    module_engine: LocalEngine, control: Connection, context: Path
) -> None:
    ours, theirs = socket.socketpair()
    call = control.call(_CONTROL + "Session", _HEADERS)

    def outward() -> None:
        with contextlib.suppress(RpcError):
            while data := theirs.recv(1 << 15):
                call.send(protobuf.encode(messages.BytesMessage(data)))
            call.end()

    def inward() -> None:
        with contextlib.suppress(RpcError, OSError):
            for message in call:
                theirs.sendall(protobuf.decode(messages.BytesMessage, message).data)

    threads = [threading.Thread(target=work) for work in (outward, inward)]
    for thread in threads:
        thread.start()
    with _running(Connection(ours, _files(context))):
        assert _solve(control, "tunnel")
    for thread in threads:
        thread.join(10)
    theirs.close()


def _hostile(*packets: Packet) -> Handle:
    """The Dockerfile as it should be, and the context not."""

    def handle(call: Call) -> None:
        if call.metadata["dir-name"] == ["dockerfile"] or call.metadata["followpaths"] == [".dockerignore"]:
            call.send(protobuf.encode(Packet(stat=Stat("Dockerfile", 0o644, size=27))))
            call.send(protobuf.encode(Packet(type=STAT)))
            text = b"FROM busybox\nCOPY x /x\n"
            for message in call:
                packet = protobuf.decode(Packet, message)
                if packet.type == messages.REQUEST:
                    call.send(protobuf.encode(Packet(messages.DATA, id=packet.id, data=text)))
                    call.send(protobuf.encode(Packet(messages.DATA, id=packet.id)))
                elif packet.type == messages.FINISH:
                    call.send(protobuf.encode(Packet(messages.FINISH)))
            return
        for packet in packets:
            call.send(protobuf.encode(packet))
        for _ in call:
            pass

    return handle


@pytest.mark.parametrize(
    "packets",
    [
        [Packet(stat=Stat("../../../escaped", 0o644))],
        [Packet(stat=Stat("/escaped", 0o644))],
        [Packet(stat=Stat("d", 0o777 | GO_LINK, link_name="/")), Packet(stat=Stat("d/escaped", 0o644))],
        [Packet(stat=Stat("d", 0o755 | GO_DIRECTORY)), Packet(stat=Stat("d", 0o755 | GO_DIRECTORY))],
        [Packet(messages.DATA, id=5, data=b"x")],
    ],
)
def test_a_context_that_wants_out_is_refused(
    module_engine: LocalEngine, control: Connection, packets: list[Packet]
) -> None:
    refused = pytest.raises(RpcError, match="failed to receive the build context")
    with _session(module_engine, _hostile(*packets)), refused:
        _solve(control, f"hostile-{time.time_ns()}")
    assert not os.path.exists("/escaped")
    assert os.listdir(module_engine.root / "build-trees" / "busy") == []
    module_engine.assert_clean()


def test_a_client_that_goes_while_it_sends_ends_its_build(
    module_engine: LocalEngine, control: Connection
) -> None:
    asked = threading.Event()

    def handle(call: Call) -> None:
        asked.set()
        for _ in call:
            pass

    failure: list[RpcError] = []

    def solve() -> None:
        with contextlib.suppress(AssertionError):
            try:
                _solve(control, "gone")
            except RpcError as error:
                failure.append(error)

    with _session(module_engine, handle):
        thread = threading.Thread(target=solve)
        thread.start()
        assert asked.wait(10)
    thread.join(10)
    assert not thread.is_alive() and failure


def test_what_there_is_not_is_said(control: Connection) -> None:
    for path, code in (
        ("/moby.buildkit.v1.Control/Nothing", UNIMPLEMENTED),
        ("/nonsense", UNIMPLEMENTED),
    ):
        call = control.call(path)
        call.end()
        with pytest.raises(RpcError) as raised:
            call.receive()
        assert raised.value.code == code


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (lambda control: _solve(control, "no-session"), UNAVAILABLE),
        (lambda control: _status(control, "no-such-job"), NOT_FOUND),
    ],
)
def test_what_never_comes_is_waited_for_no_longer_than_a_while(
    control: Connection, work: Callable[[Connection], object], code: int
) -> None:
    with pytest.raises(RpcError) as raised:
        work(control)
    assert raised.value.code == code


def test_a_message_that_is_none_is_refused(control: Connection) -> None:
    call = control.call(_CONTROL + "Solve")
    call.send(b"\xff" * 100)
    call.end()
    with pytest.raises(RpcError):
        call.receive()
    assert protobuf.decode(messages.ListWorkersResponse, _ask(control, "ListWorkers")).record


def _ask(control: Connection, method: str) -> bytes:
    call = control.call(_CONTROL + method)
    call.send(b"")
    call.end()
    answer = call.receive()
    assert answer is not None
    return answer


def test_the_engine_is_healthy(control: Connection) -> None:
    call = control.call("/grpc.health.v1.Health/Check")
    call.send(b"")
    call.end()
    answer = call.receive()
    assert answer is not None
    assert protobuf.decode(messages.HealthCheckResponse, answer).status == 1


def test_a_connection_needs_its_upgrade(module_engine: LocalEngine) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(f"{module_engine.run}/argosy.sock")
        connection.sendall(b"POST /grpc HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
