import bz2
import gzip
import io
import lzma
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from argosy.errors import InvalidParameter
from argosy.image.decompress import open_decompressed
from argosy.image.tar import Source

Compress = Callable[[bytes], bytes]
FORMS: list[Compress] = [
    lambda data: data,
    gzip.compress,
    bz2.compress,
    lzma.compress,
    zstandard.compress,
]
DATA = b"0123456789" * 20_000


def everything(source: Source, step: int = 7000) -> bytes:
    return b"".join(iter(lambda: source.read(step), b""))


@pytest.mark.parametrize("compress", FORMS)
def test_every_form_is_recognised(compress: Compress) -> None:
    assert everything(open_decompressed(io.BytesIO(compress(DATA)))) == DATA


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=5000), st.binary(max_size=5000), st.sampled_from(FORMS[1:]))
def test_several_members_are_one_stream(first: bytes, second: bytes, compress: Compress) -> None:
    joined = compress(first) + compress(second)
    assert everything(open_decompressed(io.BytesIO(joined))) == first + second


@pytest.mark.parametrize("compress", FORMS[1:4])
def test_a_cut_stream_is_an_error(compress: Compress) -> None:
    data = compress(DATA)
    with pytest.raises(InvalidParameter):
        everything(open_decompressed(io.BytesIO(data[: len(data) // 2])))


@pytest.mark.parametrize("compress", FORMS[1:])
def test_a_damaged_stream_is_an_error(compress: Compress) -> None:
    data = bytearray(compress(DATA))
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    with pytest.raises(InvalidParameter):
        everything(open_decompressed(io.BytesIO(bytes(data))))


@pytest.mark.parametrize("compress", FORMS[1:])
def test_a_read_returns_no_more_than_asked_for(compress: Compress) -> None:
    source = open_decompressed(io.BytesIO(compress(bytes(10 << 20))))
    assert 0 < len(source.read(1000)) <= 1000
