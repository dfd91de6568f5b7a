import os
from pathlib import Path

import pytest

from argosy.image import placement
from argosy.image.placement import Places


def test_a_directory_is_made_and_nothing_else(tmp_path: Path) -> None:
    Places(os.fspath(tmp_path)).make_directory("made", 0o700)
    assert os.listdir(tmp_path) == ["made"]
    assert os.listdir(tmp_path / "made") == []
    assert os.stat(tmp_path / "made").st_mode & 0o777 == 0o700


def test_the_last_place_will_do_where_all_are_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_QUICK_NANOSECONDS", -1)
    Places(os.fspath(tmp_path)).make_directory("made", 0o700)
    assert os.listdir(tmp_path) == ["made"]


def test_a_taken_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(OSError, match="taken"):
        Places(os.fspath(tmp_path)).make_directory("taken", 0o700)


def test_the_neighbourhood_of_what_is_deleted_is_avoided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbourhoods = iter([7, 7, 7, 8])
    monkeypatch.setattr(placement, "_neighbourhood", lambda directory: next(neighbourhoods))
    places = Places(os.fspath(tmp_path))
    places.avoid("deleted")
    places.make_directory("made", 0o700)
    assert next(neighbourhoods, None) is None
    assert os.listdir(tmp_path) == ["made"]
