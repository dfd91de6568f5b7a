"""Loading, saving and importing, through the facade."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from argosy.database import Database
from argosy.errors import InvalidParameter, NotFound
from argosy.image import Images
from argosy.image.content import DigestMismatch
from image_store import bytes_on_disk, unfinished

from .samples import configuration, docker_archive, info, layer, oci_layout, sha256, tar_of

BASE = layer({"etc/name": b"base", "bin/x": b"y" * 5000})
TOP = layer({"etc/name": b"top"})


def load(images: Images, archive: bytes, **options: Any) -> list[str]:
    return [record.id for record in images.load(io.BytesIO(archive), **options)]


def save(images: Images, *names: str) -> bytes:
    output = io.BytesIO()
    images.save(names, output.write)
    return output.getvalue()


def test_dockers_archive_is_loaded(images: Images) -> None:
    messages: list[dict[str, Any]] = []
    archive = docker_archive(BASE, TOP, tags=["app:1", "app:2"], Cmd=["x"])
    assert load(images, archive, progress=messages.append) == [sha256(configuration(BASE, TOP, Cmd=["x"]))]
    record = images.resolve("app:1")
    assert (record.tags, record.config.cmd, record.diff_ids) == (
        ("app:1", "app:2"), ["x"], [sha256(BASE), sha256(TOP)],
    )  # fmt: skip
    assert sum(step.size for step in images.history("app:1")) == 5000 + 4 + 3
    assert [message["stream"] for message in messages if "stream" in message] == [
        "Loaded image: app:1\n",
        "Loaded image: app:2\n",
    ]
    bars = [message for message in messages if message.get("status") == "Loading layer"]
    assert bars[-1]["progressDetail"] == {"current": len(TOP), "total": len(TOP)}


def test_quiet_shows_no_bars_and_an_untagged_image_shows_its_id(images: Images) -> None:
    messages: list[dict[str, Any]] = []
    (image,) = load(images, docker_archive(BASE), progress=messages.append, quiet=True)
    assert messages == [{"stream": f"Loaded image ID: {image}\n"}]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_layout_with_compressed_layers_is_loaded(
    images: Images, compress: Callable[[bytes], bytes]
) -> None:
    archive = oci_layout(BASE, TOP, blobs=[compress(BASE), compress(TOP)], name="docker.io/library/app:1")
    load(images, gzip.compress(archive))
    assert images.resolve("app:1").diff_ids == [sha256(BASE), sha256(TOP)]


def test_linked_layers_are_followed(images: Images) -> None:
    document = configuration(BASE, BASE, TOP)
    manifest = [
        {"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["a/layer.tar", "b/layer.tar", "d/layer.tar"]}
    ]
    archive = tar_of(
        (info("a/layer.tar"), BASE),
        (info("b/layer.tar", type=tarfile.SYMTYPE, linkname="../a/layer.tar"), b""),
        (info("c/layer.tar"), TOP),
        (info("d/layer.tar", type=tarfile.LNKTYPE, linkname="c/layer.tar"), b""),
        (info("c.json"), document),
        (info("manifest.json"), json.dumps(manifest).encode()),
    )
    assert load(images, archive) == [sha256(document)]


def test_an_image_without_layers_is_loaded(images: Images) -> None:
    load(images, docker_archive(tags=["empty:1"]))
    assert images.resolve("empty:1").chain_id is None
    assert images.history("empty:1") == []
    assert images.inspect("empty:1").size == 0


def test_a_tag_moves_and_says_so(images: Images) -> None:
    (first,) = load(images, docker_archive(BASE, tags=["app:1"]))
    messages: list[dict[str, Any]] = []
    (second,) = load(images, docker_archive(TOP, tags=["app:1"]), progress=messages.append, quiet=True)
    assert images.resolve("app:1").id == second
    assert images.resolve(first).tags == ()
    assert f"renaming the old one with ID {first} to empty string" in messages[0]["stream"]


def broken(change: Callable[[dict[str, Any]], None]) -> bytes:
    item: dict[str, Any] = {"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"]}
    change(item)
    manifest = json.dumps([item]).encode()
    return tar_of(
        (info("layer.tar"), BASE), (info("c.json"), configuration(BASE)), (info("manifest.json"), manifest)
    )


def outside() -> bytes:
    manifest = b'[{"Config":"c.json","Layers":["../../etc/passwd"]}]'
    return tar_of((info("c.json"), configuration(BASE)), (info("manifest.json"), manifest))


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (b"", "does not contain a manifest.json"),
        (tar_of((info("x"), b"y")), "does not contain a manifest.json"),
        (b"\x1f\x8b\x08garbage-garbage-garbage", "unexpected EOF"),
        (broken(lambda item: item.update(Layers=[])), "layers length mismatch: expected 1, got 0"),
        (outside(), "no such file or directory"),
        (broken(lambda item: item.update(Config="nowhere")), "no such file or directory"),
        (broken(lambda item: item.update(RepoTags=["app"])), "invalid tag"),
        (broken(lambda item: item.update(RepoTags=["A:b"])), "invalid reference format"),
        (docker_archive(BASE, tags=["a:b"])[:2000], "EOF"),
        (tar_of((info("manifest.json"), b"[{]")), "invalid manifest.json"),
    ],
)
def test_a_broken_archive_is_refused_and_leaves_nothing(
    images: Images, tmp_path: Path, archive: bytes, message: str
) -> None:
    with pytest.raises(InvalidParameter, match=message):
        load(images, archive)
    assert images.list() == []
    assert unfinished(tmp_path / "root") == []


def test_a_layer_that_is_not_what_the_configuration_says_is_refused(images: Images) -> None:
    archive = tar_of(
        (info("layer.tar"), TOP),
        (info("c.json"), configuration(BASE)),
        (info("manifest.json"), b'[{"Config":"c.json","Layers":["layer.tar"]}]'),
    )
    with pytest.raises(InvalidParameter, match="invalid diffID for layer 0"):
        load(images, archive)


def test_a_blob_under_a_wrong_digest_is_refused(images: Images) -> None:
    with pytest.raises(DigestMismatch):
        load(images, tar_of((info("blobs/sha256/" + "0" * 64), BASE)))
    with pytest.raises(InvalidParameter, match="does not have this digest"):
        load(images, tar_of((info("blobs/sha256/" + "0" * 64), b"{}")))


def test_what_is_saved_is_loaded_again_and_saving_is_deterministic(images: Images, tmp_path: Path) -> None:
    (image,) = load(images, docker_archive(BASE, TOP, tags=["app:1", "app:2"], Env=["A=b"]))
    saved = save(images, "app:1", "app:2")
    assert saved == save(images, "app:1", "app:2")
    database = Database(os.fspath(tmp_path / "other.db"))
    other = Images(os.fspath(tmp_path / "other"), database)
    assert load(other, saved) == [image]
    assert other.resolve(image).tags == ("app:1", "app:2")
    assert save(other, "app:1", "app:2") == saved
    other.close()
    database.close()


def test_a_saved_archive_has_dockers_layout(images: Images) -> None:
    (image,) = load(images, docker_archive(BASE, tags=["app:1"]))
    with tarfile.open(fileobj=io.BytesIO(save(images, "app:1"))) as archive:
        names = archive.getnames()
        assert names[:2] == ["blobs", "blobs/sha256"]
        assert names[-4:] == ["index.json", "manifest.json", "oci-layout", "repositories"]

        def document(name: str) -> Any:
            extracted = archive.extractfile(name)
            assert extracted is not None
            return json.loads(extracted.read())

        (item,) = document("manifest.json")
        assert (item["Config"], item["RepoTags"]) == (f"blobs/sha256/{image[7:]}", ["app:1"])
        assert item["Layers"] == [f"blobs/sha256/{sha256(BASE)[7:]}"]
        assert document("repositories") == {"app": {"1": sha256(BASE)[7:]}}
        annotations = document("index.json")["manifests"][0]["annotations"]
        assert annotations["io.containerd.image.name"] == "docker.io/library/app:1"


def test_a_repository_saves_all_its_tags_and_an_id_saves_none(images: Images) -> None:
    (image,) = load(images, docker_archive(BASE, tags=["app:1", "app:2"]))

    def tags(*names: str) -> Any:
        with tarfile.open(fileobj=io.BytesIO(save(images, *names))) as archive:
            extracted = archive.extractfile("manifest.json")
            assert extracted is not None
            return [item["RepoTags"] for item in json.loads(extracted.read())]

    assert tags("app") == [["app:1", "app:2"]]
    assert tags(image) == [None]
    assert tags(image[7:19], "app:2") == [["app:2"]]
    with pytest.raises(NotFound, match="No such image: absent"):
        save(images, "absent")


def test_a_root_file_system_is_imported(images: Images) -> None:
    image = images.import_(
        io.BytesIO(gzip.compress(BASE)),
        repository="imported",
        tag="v1",
        changes=["CMD run"],
        message="by hand",
        platform="linux/arm64",
    )
    shown = images.inspect("imported:v1")
    assert (shown.id, shown.architecture, shown.comment) == (image, "arm64", "by hand")
    assert shown.config.cmd == ["/bin/sh", "-c", "run"]
    assert shown.root_fs.layers == [sha256(BASE)]


def test_everything_is_there_after_a_restart(images: Images, database: Database, tmp_path: Path) -> None:
    (image,) = load(images, docker_archive(BASE, TOP, tags=["app:1"]))
    images.snapshotter.prepare("kept", images.resolve(image).chain_id)
    images.snapshotter.prepare("gone", images.resolve(image).chain_id)
    images.close()
    (tmp_path / "root" / "ingest" / "half").write_bytes(b"x")
    if images.snapshotter.driver == "erofs":
        (tmp_path / "root" / "snapshots" / "erofs" / "half.new").touch()
    else:
        (tmp_path / "root" / "snapshots" / "staging" / "half").mkdir()
    again = Images(os.fspath(tmp_path / "root"), database, storage_driver=images.snapshotter.driver)
    again.recover({"kept"})
    assert again.resolve("app:1").id == image
    assert again.snapshotter.exists("kept")
    assert not again.snapshotter.exists("gone")
    assert unfinished(tmp_path / "root") == []
    again.close()


def test_snapshots_that_a_power_cut_took_are_made_again(
    images: Images, database: Database, tmp_path: Path
) -> None:
    (image,) = load(images, docker_archive(BASE, TOP, tags=["app:1"]))
    images.close()
    driver = images.snapshotter.driver
    snapshots = tmp_path / "root" / "snapshots"
    for index in snapshots.glob("erofs/*"):
        os.truncate(index, 0)
    for meta in snapshots.glob("committed/*/meta"):
        meta.write_text(json.dumps({**json.loads(meta.read_text()), "boot": "another"}))
    again = Images(os.fspath(tmp_path / "root"), database, storage_driver=driver)
    assert list(again.snapshotter.walk()) == []
    again.recover(set())
    chain = again.resolve(image).chain_id
    assert chain is not None
    assert again.snapshotter.exists(chain)
    again.close()


def test_what_another_snapshotter_left_goes_when_nothing_runs(
    images: Images, database: Database, tmp_path: Path
) -> None:
    (image,) = load(images, docker_archive(BASE, TOP, tags=["app:1"]))
    size = images.inspect("app:1").size
    images.close()
    other = "overlay" if images.snapshotter.driver == "erofs" else "erofs"
    again = Images(os.fspath(tmp_path / "root"), database, storage_driver=other)
    again.recover(set(), running=True)
    both = bytes_on_disk(tmp_path / "root")
    again.close()
    again = Images(os.fspath(tmp_path / "root"), database, storage_driver=other)
    again.recover(set())
    assert bytes_on_disk(tmp_path / "root") == again.layers_size() < both
    assert again.inspect("app:1").size not in (0, size)
    assert again.snapshotter.exists(again.resolve(image).chain_id or "")
    again.close()
