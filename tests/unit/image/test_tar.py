import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argosy.image import tarwrite
from argosy.image.tar import REGULAR, TarError, TarReader, is_header, padding

from .samples import info, tar_of

name = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/"),
    min_size=1,
    max_size=80,
).filter(lambda text: text not in (".", ".."))
path = st.lists(name, min_size=1, max_size=5).map("/".join)
member = st.tuples(
    path,
    st.binary(max_size=3000),
    st.integers(0, 0o7777),
    st.integers(0, 2**31),
    st.integers(0, 2**33),
)


class Dribble:
    """A source that gives little at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._stream = io.BytesIO(data)
        self._step = step

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._step))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(member, max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 4000),
)
def test_the_reader_agrees_with_tarfile(
    members: list[tuple[str, bytes, int, int, int]], form: int, step: int
) -> None:
    data = tar_of(
        *[
            (info(path, mode=mode, uid=owner, gid=owner, mtime=mtime), content)
            for path, content, mode, owner, mtime in members
        ],
        form=form,
    )
    reader = TarReader(Dribble(data, step))
    found = []
    for entry in reader:
        content = b"".join(bytes(view) for view in reader.contents(entry))
        found.append((entry.name.decode(), content, entry.mode, entry.uid, entry.mtime // 10**9))
    assert found == members


@settings(max_examples=60, deadline=None)
@given(
    member, st.integers(0, 10**18), st.dictionaries(st.binary(min_size=1, max_size=9), st.binary(max_size=9))
)
def test_what_is_written_is_read_back(
    written: tuple[str, bytes, int, int, int], mtime: int, raw: dict[bytes, bytes]
) -> None:
    path, content, mode, owner, _ = written
    xattrs = {b"user." + key.replace(b"=", b"_"): value for key, value in raw.items()}
    header = tarwrite.header(
        path.encode(), REGULAR, mode=mode, uid=owner, gid=owner, size=len(content), mtime=mtime, xattrs=xattrs
    )
    data = header + content + bytes(padding(len(content))) + tarwrite.END
    reader = TarReader(io.BytesIO(data))
    entry = reader.next()
    assert entry is not None
    assert (entry.name, entry.mode, entry.uid, entry.mtime) == (path.encode(), mode, owner, mtime)
    assert b"".join(bytes(view) for view in reader.contents(entry)) == content
    assert (entry.xattrs or {}) == xattrs
    assert reader.next() is None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000))
def test_rubbish_is_an_error_and_never_a_crash(data: bytes) -> None:
    sound = tar_of((info("a"), b"x" * 700))
    for stream in (data, sound[:512] + data, data[:100] + sound[100:]):
        try:
            for _ in TarReader(io.BytesIO(stream)):
                pass
        except TarError:
            continue


def test_a_cut_is_an_error() -> None:
    with pytest.raises(TarError, match="unexpected EOF"):
        list(TarReader(io.BytesIO(tar_of((info("a"), b"x" * 2000))[:1500])))


def test_a_huge_extended_header_is_refused() -> None:
    with pytest.raises(TarError, match="too long"):
        list(TarReader(io.BytesIO(tarwrite.header(b"x", b"x", mode=0, size=1 << 30))))


def test_a_sparse_file_says_where_its_parts_go() -> None:
    records = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "big",
        "GNU.sparse.realsize": "5000",
    }  # fmt: skip
    body = b"1\n1000\n3\n".ljust(512, b"\0") + b"abc"
    reader = TarReader(io.BytesIO(tar_of((info("GNUSparseFile.0/big", pax_headers=records), body))))
    entry = reader.next()
    assert entry is not None
    assert (entry.name, entry.size, entry.sparse) == (b"big", 5000, [(1000, 3)])
    assert b"".join(bytes(view) for view in reader.contents(entry)) == b"abc"


def test_a_tar_is_known_by_its_first_block() -> None:
    assert is_header(tar_of((info("a"), b""))[:512])
    assert is_header(bytes(512))
    assert not is_header(b"{" * 512)
