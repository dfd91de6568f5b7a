"""How much is in a volume, as Docker counts it."""

import os
from pathlib import Path

from argosy.volume import usage


def test_files_count_with_their_size_and_directories_do_not(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 5000)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 3)
    assert usage.size(str(tmp_path)) == 5003


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100)
    (tmp_path / "d").mkdir()
    os.link(tmp_path / "one", tmp_path / "d" / "two")
    assert usage.size(str(tmp_path)) == 100


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x" * 1000)
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "directory").symlink_to("../outside")
    (volume / "file").symlink_to("../outside/file")
    assert usage.size(str(volume)) == len("../outside") + len("../outside/file")


def test_what_is_gone_has_no_size(tmp_path: Path) -> None:
    assert usage.size(str(tmp_path / "none")) == 0
