from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.wire.protobuf import MalformedMessage, decode, encode


class Inner(msgspec.Struct):
    number: Annotated[int, 1] = 0


class Everything(msgspec.Struct):
    text: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    number: Annotated[int, 3] = 0
    flag: Annotated[bool, 4] = False
    inner: Annotated[Inner | None, 5] = None
    texts: Annotated[list[str], 6] = []
    inners: Annotated[list[Inner], 7] = []
    pairs: Annotated[dict[str, str], 18] = {}
    known: Annotated[dict[int, Inner], 19] = {}


class Nested(msgspec.Struct):
    inner: "Annotated[Nested | None, 1]" = None


_inners = st.builds(Inner, st.integers(-(1 << 63), (1 << 63) - 1))
_everything = st.builds(
    Everything,
    text=st.text(),
    data=st.binary(),
    number=st.integers(-(1 << 63), (1 << 63) - 1),
    flag=st.booleans(),
    inner=st.none() | _inners,
    texts=st.lists(st.text()),
    inners=st.lists(_inners),
    pairs=st.dictionaries(st.text(), st.text()),
    known=st.dictionaries(st.integers(0, 9), _inners),
)


@given(_everything)
def test_what_is_encoded_is_decoded(message: Everything) -> None:
    assert decode(Everything, encode(message)) == message


def test_the_bytes_are_those_of_the_encodings_own_examples() -> None:
    assert encode(Inner(150)) == bytes.fromhex("089601")
    assert encode(Everything(text="testing")) == bytes.fromhex("0a0774657374696e67")
    assert encode(Inner(-2)) == bytes.fromhex("08feffffffffffffffff01")


def test_an_empty_inner_message_is_not_a_missing_one() -> None:
    assert encode(Everything(inner=Inner())) == b"\x2a\x00"
    assert decode(Everything, b"\x2a\x00").inner == Inner()


def test_unknown_fields_of_every_kind_are_skipped() -> None:
    unknown = b"\xa0\x06\x05" + b"\xa1\x06" + bytes(8) + b"\xa2\x06\x02ab" + b"\xa5\x06" + bytes(4)
    assert decode(Inner, unknown + b"\x08\x07" + unknown) == Inner(7)


def test_a_name_that_is_no_utf8_survives() -> None:
    message = Everything(text=b"caf\xe9".decode(errors="surrogateescape"))
    assert encode(message) == b"\x0a\x04caf\xe9"
    assert decode(Everything, encode(message)) == message


@pytest.mark.parametrize(
    "data",
    [b"\x08", b"\x0a\x05ab", b"\x08" + b"\xff" * 11, b"\x0b", b"\x2a\x7f", b"\xa2\x06\x7f", b"\xa5\x06\x01"],
)
def test_what_is_cut_off_or_malformed_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(Everything, data)


def test_nesting_has_an_end() -> None:
    message = Nested()
    for _ in range(100):
        message = Nested(message)
    with pytest.raises(MalformedMessage):
        decode(Nested, encode(message))


@given(st.binary())
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        decode(Everything, data)
    except MalformedMessage:
        return
