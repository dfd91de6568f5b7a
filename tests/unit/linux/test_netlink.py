import struct

from hypothesis import given
from hypothesis import strategies as st

from argosy.linux import netlink


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_come_back_as_they_were_written(written: dict[int, bytes]) -> None:
    data = b"".join(netlink.attribute(kind, payload) for kind, payload in written.items())
    assert len(data) % 4 == 0
    assert netlink.attributes(data) == written


@given(st.binary(max_size=60))
def test_reading_attributes_of_rubbish_comes_to_an_end(data: bytes) -> None:
    netlink.attributes(data)


def test_the_marks_of_an_attributes_kind_are_not_part_of_its_number() -> None:
    assert netlink.attributes(netlink.nested(18, netlink.u32(1, 7))) == {18: netlink.u32(1, 7)}


def test_a_string_ends_in_a_zero_byte() -> None:
    assert netlink.attributes(netlink.string(3, "eth0")) == {3: b"eth0\0"}


def test_a_message_states_its_own_length() -> None:
    data = netlink.message(16, 5, 9, b"abcd")
    assert struct.unpack("=IHHII", data[:16]) == (20, 16, 5, 9, 0)
    assert data[16:] == b"abcd"
