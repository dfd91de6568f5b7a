"""The lowest layer of every container."""

import os
import stat
from pathlib import Path

from argosy.engine import stubs
from argosy.image import Mount


def test_the_layer_is_made_whatever_the_umask_and_again_where_something_is_missing(tmp_path: Path) -> None:
    layer = tmp_path / "stubs"
    before = os.umask(0o077)
    try:
        stubs.lay(str(layer))
        (layer / "etc" / "hosts").unlink()
        stubs.lay(str(layer))
    finally:
        os.umask(before)
    for name in ("", "etc", "proc", "dev", ".dockerenv", "etc/hosts", "etc/resolv.conf"):
        assert stat.S_IMODE((layer / name).stat().st_mode) == 0o755
    assert os.readlink(layer / "etc" / "mtab") == "/proc/mounts"


def test_it_is_below_all_that_an_image_has() -> None:
    first = Mount("erofs", "/dev/loop1", ("ro",))
    root = Mount("overlay", "overlay", ("lowerdir=%0:/a", "upperdir=/u", "workdir=/w"))
    found = stubs.above("/s:x", [first, root])
    assert found == [
        first,
        Mount("overlay", "overlay", ("lowerdir=%0:/a:/s\\:x", "upperdir=/u", "workdir=/w")),
    ]


def test_a_root_without_layers_is_left_alone() -> None:
    root = [Mount("bind", "/u", ("rbind", "rw"))]
    assert stubs.above("/s", root) == root


def test_a_root_of_too_many_layers_goes_without() -> None:
    root = [Mount("overlay", "overlay", ("lowerdir=" + "x" * 4080,))]
    assert stubs.above("/stubs", root) == root
