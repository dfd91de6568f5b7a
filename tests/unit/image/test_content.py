import os
import threading
from pathlib import Path

import pytest

from argosy.errors import ArgosyError, InvalidParameter, NotFound
from argosy.image.content import ContentStore, DigestMismatch

from .samples import sha256


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(os.fspath(tmp_path))


def test_what_is_put_is_read_back_by_its_digest(store: ContentStore) -> None:
    digest = store.put(b"hello")
    assert digest == sha256(b"hello")
    assert store.put(b"hello") == digest
    assert store.read(digest) == b"hello"
    assert (store.exists(digest), store.size(digest), list(store.walk())) == (True, 5, [digest])


def test_a_wrong_digest_stores_nothing(store: ContentStore, tmp_path: Path) -> None:
    ingest = store.ingest()
    ingest.write(b"hello")
    with pytest.raises(DigestMismatch):
        ingest.commit(sha256(b"other"))
    assert list(store.walk()) == []
    assert os.listdir(tmp_path / "ingest") == []


def test_an_abandoned_ingest_leaves_nothing(store: ContentStore, tmp_path: Path) -> None:
    with store.ingest() as ingest:
        ingest.write(b"x")
    assert os.listdir(tmp_path / "ingest") == []


def test_clean_removes_what_a_crash_left(store: ContentStore, tmp_path: Path) -> None:
    (tmp_path / "ingest" / "left").write_bytes(b"half")
    store.clean()
    assert os.listdir(tmp_path / "ingest") == []


def test_damage_is_noticed(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put(b"hello")
    Path(store.path(digest)).write_bytes(b"jello")
    assert not store.verify(digest)
    with pytest.raises(DigestMismatch):
        store.read(digest)


def test_a_digest_is_checked_before_it_becomes_a_path(store: ContentStore) -> None:
    with pytest.raises(InvalidParameter):
        store.path("sha256:../../etc/passwd")
    with pytest.raises(NotFound):
        store.open(sha256(b"absent"))


def test_a_follower_reads_what_is_still_being_written(store: ContentStore) -> None:
    ingest = store.ingest()
    follower = ingest.follow()
    received: list[bytes] = []

    def follow() -> None:
        with follower:
            received.extend(iter(lambda: follower.read(3), b""))

    thread = threading.Thread(target=follow)
    thread.start()
    for piece in (b"ab", b"cdef", b"g"):
        ingest.write(piece)
    ingest.commit()
    thread.join(10)
    assert b"".join(received) == b"abcdefg"


def test_a_follower_of_an_aborted_ingest_fails(store: ContentStore) -> None:
    ingest = store.ingest()
    with ingest.follow() as follower:
        ingest.write(b"ab")
        ingest.abort()
        assert follower.read(10) == b"ab"
        with pytest.raises(ArgosyError):
            follower.read(10)
