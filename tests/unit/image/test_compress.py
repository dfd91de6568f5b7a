import gzip
import io
import os

from hypothesis import given
from hypothesis import strategies as st

from argosy.image.compress import CHUNK, gzipped


@given(st.binary(max_size=1000), st.integers(0, 3))
def test_what_is_compressed_is_had_again_and_always_the_same(data: bytes, times: int) -> None:
    content = data * (times * 1000 + 1)
    packed = b"".join(gzipped(io.BytesIO(content)))
    assert gzip.decompress(packed) == content
    assert b"".join(gzipped(io.BytesIO(content))) == packed


def test_no_time_and_no_name_is_in_it() -> None:
    head = next(gzipped(io.BytesIO(b"x")))[:10]
    assert head == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_large_content_comes_in_pieces() -> None:
    content = os.urandom(3 * CHUNK)
    pieces = list(gzipped(io.BytesIO(content)))
    assert len(pieces) > 1
    assert all(pieces)
    assert gzip.decompress(b"".join(pieces)) == content
