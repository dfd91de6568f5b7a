import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.database import Database
from argosy.errors import Conflict, InvalidParameter, NotFound
from argosy.volume.store import ANONYMOUS_LABEL, VolumeStore


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(os.fspath(tmp_path / "db"))
    yield opened
    opened.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "volumes"


@pytest.fixture
def store(root: Path, database: Database) -> VolumeStore:
    return VolumeStore(os.fspath(root), database)


def nobody(_: str) -> list[str]:
    return []


def test_a_volume_is_a_directory(store: VolumeStore, root: Path) -> None:
    volume, new = store.create("data", {"a": "b"})
    assert new
    assert volume.path == os.fspath(root / "data" / "_data")
    assert os.path.isdir(volume.path)
    assert (store.get("data"), store.exists("data"), volume.anonymous) == (volume, True, False)


def test_making_a_volume_again_gives_the_one_there_is(store: VolumeStore) -> None:
    first, _ = store.create("data", {"a": "b"})
    assert store.create("data", {"c": "d"}) == (first, False)


def test_a_volume_without_a_name_is_anonymous_and_has_a_long_one(store: VolumeStore) -> None:
    volume, _ = store.create(labels={"own": "1"})
    assert len(volume.name) == 64
    assert volume.anonymous
    assert volume.labels == {"own": "1", ANONYMOUS_LABEL: ""}


@pytest.mark.parametrize("name", ["a", "../x", "a/b", "-x", "a b", ".", ".."])
def test_a_name_that_could_lead_astray_is_refused(store: VolumeStore, root: Path, name: str) -> None:
    with pytest.raises(
        InvalidParameter, match="includes invalid characters for a local volume name|volume name is too short"
    ):
        store.create(name)
    assert os.listdir(root) == []


def test_an_option_that_is_not_known_is_named(store: VolumeStore) -> None:
    with pytest.raises(InvalidParameter, match="invalid option"):
        store.create("data", options={"colour": "1"})


def test_a_removed_volume_is_gone_with_its_content(store: VolumeStore, root: Path) -> None:
    volume, _ = store.create("data")
    (Path(volume.path) / "file").touch()
    store.remove("data", nobody)
    assert os.listdir(root) == []
    with pytest.raises(NotFound, match="get data: no such volume"):
        store.get("data")
    with pytest.raises(NotFound):
        store.remove("data", nobody)


def test_a_volume_in_use_is_kept_and_its_users_named(store: VolumeStore) -> None:
    store.create("data")
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c1, c2\]"):
        store.remove("data", lambda name: ["c1", "c2"] if name == "data" else [])
    assert store.exists("data")


def test_volumes_are_listed_by_name(store: VolumeStore) -> None:
    for name in ("bb", "aa", "cc"):
        store.create(name)
    assert [volume.name for volume in store.all()] == ["aa", "bb", "cc"]


def test_volumes_outlive_the_engine(store: VolumeStore, root: Path, database: Database) -> None:
    made = [store.create("data", {"a": "b"})[0], store.create()[0]]
    again = VolumeStore(os.fspath(root), database)
    assert sorted(again.all()) == sorted(made)


def test_a_directory_that_a_crash_left_is_removed(store: VolumeStore, root: Path, database: Database) -> None:
    store.create("data")
    (root / "orphan" / "_data").mkdir(parents=True)
    VolumeStore(os.fspath(root), database)
    assert os.listdir(root) == ["data"]


def test_many_threads_make_one_volume_once(store: VolumeStore) -> None:
    news: list[bool] = []
    threads = [threading.Thread(target=lambda: news.append(store.create("data")[1])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(news) == [False] * 7 + [True]
