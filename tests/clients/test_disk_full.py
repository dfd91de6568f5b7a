"""A full disk: a clear error, and a store that is whole."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_fixture import LocalEngine


@pytest.fixture
def small(own_engine: LocalEngine) -> Iterator[Path]:
    """The engine's root on a file system of its own, of 24 MB."""
    own_engine.stop()
    root = own_engine.root
    saved = root.with_name("saved")
    root.rename(saved)
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "agt-full", str(root)], check=True)
    try:
        own_engine.start()
        own_engine.import_base()
        yield root
    finally:
        try:
            own_engine.remove_all()
            own_engine.stop()
        finally:
            subprocess.run(["umount", "--lazy", str(root)], check=True)
            root.rmdir()
            saved.rename(root)


def test_a_full_disk_is_told_and_mended_by_making_room(own_engine: LocalEngine, small: Path) -> None:
    filler = small / "filler"
    with open(filler, "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(1 << 16))
    answer = own_engine.argosy("run", "--rm", "busybox", "true")
    assert answer.code == 125
    assert "no space left on device" in answer.stderr.lower()
    answer = own_engine.argosy("import", "-", "more", stdin=bytes(1 << 20))
    assert answer.code != 0
    own_engine.kill()
    filler.unlink()
    own_engine.start()
    assert own_engine.ok("run", "--rm", "busybox", "echo", "room again") == "room again"
    assert own_engine.ok("images", "--format", "{{.Repository}}") == "busybox"
    left = own_engine.leftovers()
    assert [line.split()[0] for line in left.pop("mounts")] == ["agt-full"]
    assert not any(left.values()), left
