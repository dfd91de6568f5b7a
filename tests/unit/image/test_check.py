"""Reading the store through."""

import io
import os
from pathlib import Path

from argosy.image import Images

from .samples import docker_archive, layer, sha256

BASE = layer({"etc/name": b"base"})
TOP = layer({"etc/other": b"top"})


def load(images: Images, *layers: bytes, tag: str) -> None:
    images.load(io.BytesIO(docker_archive(*layers, tags=[tag])))


def test_a_whole_store_has_no_problems(images: Images) -> None:
    load(images, BASE, TOP, tag="app:1")
    checked = list(images.check())
    assert [found.kind for found in checked] == ["content"] * 3 + ["snapshot"] * 2
    assert not any(found.problem for found in checked)
    assert {found.name: found.images for found in checked}[sha256(TOP)] == ("app:1",)


def test_damaged_and_missing_content_is_named_with_the_images_that_need_it(
    images: Images, tmp_path: Path
) -> None:
    load(images, BASE, tag="base:1")
    load(images, TOP, tag="top:1")
    Path(images.content.path(sha256(BASE))).write_bytes(b"x" * len(BASE))
    os.unlink(images.content.path(sha256(TOP)))
    found = {item.name: item for item in images.check() if item.problem and item.kind == "content"}
    assert {name: (item.problem, item.images) for name, item in found.items()} == {
        sha256(BASE): ("is damaged", ("base:1",)),
        sha256(TOP): ("is missing", ("top:1",)),
    }
    assert "pull or load base:1 again" in found[sha256(BASE)].remedy


def test_repair_makes_room_for_what_comes_again(images: Images) -> None:
    load(images, BASE, tag="base:1")
    Path(images.content.path(sha256(BASE))).write_bytes(b"x")
    assert any(found.problem for found in images.check(repair=True))
    load(images, BASE, tag="base:1")
    assert not any(found.problem for found in images.check())
