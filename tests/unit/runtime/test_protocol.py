import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.runtime import protocol


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none()))
def test_a_message_arrives_as_it_was_sent(body: dict[str, object]) -> None:
    ours, theirs = pair()
    with ours, theirs:
        protocol.send(ours, body)
        assert protocol.receive(theirs) == (body, [])


def test_messages_stay_apart() -> None:
    ours, theirs = pair()
    with ours, theirs:
        for number in range(3):
            protocol.send(ours, {"seq": number})
        assert [protocol.receive(theirs)[0] for _ in range(3)] == [{"seq": 0}, {"seq": 1}, {"seq": 2}]


def test_a_descriptor_travels_along_and_is_not_inherited() -> None:
    ours, theirs = pair()
    reader, writer = os.pipe()
    with ours, theirs:
        protocol.send(ours, {"op": "attach"}, (writer,))
        os.close(writer)
        body, descriptors = protocol.receive(theirs)
        assert body == {"op": "attach"}
        [received] = descriptors
        assert not os.get_inheritable(received)
        os.write(received, b"through")
        os.close(received)
    assert os.read(reader, 20) == b"through"
    os.close(reader)


def test_the_end_is_none() -> None:
    ours, theirs = pair()
    with theirs:
        ours.close()
        assert protocol.receive(theirs) == (None, [])


def test_nothing_there_yet_is_said_so() -> None:
    ours, theirs = pair()
    with ours, theirs:
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            protocol.receive(theirs)
