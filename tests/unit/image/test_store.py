"""Names, listing, removing and pruning, through the facade."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.database import Database
from argosy.errors import Conflict, InvalidParameter, NotFound
from argosy.image import Images, ImageUser
from argosy.image.create import NewImage
from argosy.spec.oci_image import ImageConfig
from image_store import bytes_on_disk

from .samples import docker_archive, layer, sha256

BASE = layer({"a": b"x" * 100})
OTHER = layer({"b": b"y" * 10})
TOP = layer({"c": b"z"})

Event = tuple[str, str, dict[str, str]]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def users() -> dict[str, list[ImageUser]]:
    return {}


@pytest.fixture
def images(
    tmp_path: Path, database: Database, events: list[Event], users: dict[str, list[ImageUser]]
) -> Iterator[Images]:
    opened = Images(
        os.fspath(tmp_path / "root"),
        database,
        on_event=lambda *event: events.append(event),
        in_use=lambda image: users.get(image, []),
    )
    yield opened
    opened.close()


def load(images: Images, *layers: bytes, tags: list[str], **config: object) -> str:
    (record,) = images.load(io.BytesIO(docker_archive(*layers, tags=tags, **config)))
    return record.id


def blobs(tmp_path: Path) -> int:
    return len(os.listdir(tmp_path / "root" / "blobs" / "sha256"))


def test_an_image_goes_by_name_by_id_and_by_the_beginning_of_its_id(images: Images) -> None:
    image = load(images, BASE, tags=["app:latest"])
    for text in ("app", "app:latest", "docker.io/library/app", image, image[7:], image[7:19], image[:20]):
        assert images.resolve(text).id == image


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("absent", "No such image: absent:latest"),
        ("a/b:c", "No such image: a/b:c"),
        ("sha256:" + "0" * 64, "No such image: sha256:" + "0" * 64),
    ],
)
def test_an_unknown_image_is_not_found(images: Images, text: str, message: str) -> None:
    with pytest.raises(NotFound) as caught:
        images.resolve(text)
    assert str(caught.value) == message


def test_tags_move(images: Images, events: list[Event]) -> None:
    first = load(images, BASE, tags=["app:1"])
    second = load(images, OTHER, tags=["other:1"])
    images.tag("app:1", "other", "1")
    assert images.resolve("other:1").id == first
    assert images.resolve(second).tags == ()
    assert ("tag", first, {"name": "other:1"}) in events
    for repository, tag in (("Bad", ""), ("a" * 64, ""), ("app", "b c")):
        with pytest.raises(InvalidParameter):
            images.tag("app:1", repository, tag)


def test_untagging_one_of_two_keeps_the_image(images: Images, tmp_path: Path) -> None:
    image = load(images, BASE, tags=["app:1", "app:2"])
    assert [item.untagged for item in images.remove("app:1")] == ["app:1"]
    assert images.resolve("app:2").id == image
    with pytest.raises(Conflict, match="image is referenced in multiple repositories"):
        images.tag("app:2", "more")
        images.remove(image)
    items = images.remove(image, force=True)
    assert [item.deleted for item in items[-2:]] == [image, sha256(BASE)]
    assert blobs(tmp_path) == 0


def test_shared_layers_stay_while_another_image_has_them(images: Images, tmp_path: Path) -> None:
    load(images, BASE, tags=["a:1"])
    alone = images.layers_size()
    assert alone == bytes_on_disk(tmp_path / "root") == images.inspect("a:1").size
    load(images, BASE, TOP, tags=["b:1"])
    assert images.layers_size() == bytes_on_disk(tmp_path / "root") == images.inspect("b:1").size
    images.remove("b:1")
    assert images.layers_size() == alone
    assert blobs(tmp_path) == 2
    assert images.snapshotter.exists(sha256(BASE))


def test_an_image_in_use_is_kept(images: Images, users: dict[str, list[ImageUser]]) -> None:
    image = load(images, BASE, tags=["app:1"])
    users[image] = [ImageUser("c" * 64, running=False)]
    with pytest.raises(Conflict, match=r"unable to remove repository reference .* \(must force\)"):
        images.remove("app:1")
    with pytest.raises(Conflict, match="image is being used by stopped container cccccccccccc"):
        images.remove(image)
    users[image] = [ImageUser("c" * 64, running=True)]
    with pytest.raises(Conflict, match=r"cannot be forced.*running container cccccccccccc"):
        images.remove(image, force=True)


def test_a_containers_layers_outlive_the_image(images: Images) -> None:
    image = load(images, BASE, TOP, tags=["app:1"])
    chain = images.resolve(image).chain_id
    assert chain is not None
    images.snapshotter.prepare("container", chain)
    images.remove("app:1")
    assert images.snapshotter.exists(chain)
    assert images.content.exists(sha256(TOP))
    images.snapshotter.remove("container")
    collected = images.collect()
    assert chain in collected.chains
    assert not images.content.exists(sha256(TOP))


def test_filters_of_the_list(images: Images) -> None:
    load(images, BASE, tags=["app:1"], Labels={"team": "a"})
    load(images, OTHER, tags=["user/tool:2"])
    load(images, TOP, tags=[])

    def names(**filters: list[str]) -> list[list[str]]:
        return sorted(summary.repo_tags for summary in images.list(filters))

    assert names() == [[], ["app:1"], ["user/tool:2"]]
    assert names(reference=["app"]) == [["app:1"]]
    assert names(reference=["*/tool"]) == [["user/tool:2"]]
    assert names(dangling=["true"]) == [[]]
    assert names(dangling=["false"]) == [["app:1"], ["user/tool:2"]]
    assert names(label=["team=a"]) == [["app:1"]]
    assert names(label=["team=b"]) == []
    assert names(until=["2000-01-01"]) == []
    for filters in ({"colour": ["red"]}, {"dangling": ["maybe"]}, {"reference": ["["]}, {"until": ["soon"]}):
        with pytest.raises(InvalidParameter):
            images.list(filters)


def test_containers_and_shared_sizes_are_counted_on_request(images: Images) -> None:
    image = load(images, BASE, tags=["a:1"])
    load(images, BASE, TOP, tags=["b:1"])
    found = {s.repo_tags[0]: s for s in images.list(shared_size=True, containers=lambda: {image: 3})}
    assert (found["a:1"].shared_size, found["a:1"].containers) == (found["a:1"].size, 3)
    assert found["b:1"].shared_size == found["a:1"].size < found["b:1"].size


def test_prune_takes_the_dangling_or_all_that_are_unused(
    images: Images, users: dict[str, list[ImageUser]], tmp_path: Path
) -> None:
    load(images, BASE, tags=[])
    used = load(images, OTHER, tags=["used:1"])
    free = load(images, TOP, tags=["free:1"])
    users[used] = [ImageUser("c" * 64, running=False)]
    before = bytes_on_disk(tmp_path / "root")
    first = images.prune()
    # The configuration, too.
    assert before - bytes_on_disk(tmp_path / "root") <= first.space_reclaimed < before
    assert {summary.repo_tags[0] for summary in images.list()} == {"used:1", "free:1"}
    second = images.prune({"dangling": ["false"]})
    assert free in [item.deleted for item in second.images_deleted or []]
    assert [summary.id for summary in images.list()] == [used]
    assert images.prune().images_deleted is None


def test_an_image_is_created_on_another(images: Images) -> None:
    parent = images.resolve(load(images, BASE, tags=["app:1"]))
    config = ImageConfig(cmd=["new"])
    only_config = images.create(NewImage(config, parent, created_by="CMD new"), repository="app", tag="2")
    assert only_config.diff_ids == parent.diff_ids
    child = images.create(NewImage(config, only_config, created_by="COPY"), io.BytesIO(TOP), repository="app")
    assert child.diff_ids == [sha256(BASE), sha256(TOP)]
    assert [step.created_by for step in images.history("app")] == ["COPY", "CMD new", "step 0"]
    assert [step.size for step in images.history("app")] == [1, 0, 100]
    assert child.parent == only_config.id
    with pytest.raises(Conflict, match="image has dependent child images"):
        images.remove(only_config.id, force=True)


def test_untagged_parents_go_with_the_image(images: Images) -> None:
    parent = images.resolve(load(images, BASE, tags=[]))
    child = images.create(NewImage(ImageConfig(), parent), repository="child")
    assert [summary.id for summary in images.list()] == [child.id]
    assert len(images.list(all=True)) == 2
    items = images.remove("child")
    assert [item.deleted for item in items if item.deleted] == [child.id, parent.id, sha256(BASE)]


def test_a_callers_roots_are_kept(images: Images) -> None:
    digest = images.content.put(b"cached")
    images.add_roots(lambda: [digest])
    images.collect()
    assert images.content.exists(digest)


def test_a_leases_content_is_kept_until_it_ends(images: Images) -> None:
    with images.lease() as lease:
        digest = images.content.put(b"in work")
        lease.keep(digest)
        images.collect()
        assert images.content.exists(digest)
    images.collect()
    assert not images.content.exists(digest)


def test_what_was_needed_for_a_while_goes_unless_it_has_a_name(
    images: Images, users: dict[str, list[ImageUser]]
) -> None:
    named = images.resolve(load(images, BASE, tags=["named:1"]))
    nameless = images.resolve(load(images, OTHER, tags=[]))
    users[nameless.id] = [ImageUser("c", running=False)]
    images.remove_nameless(nameless)
    assert images.resolve(nameless.id)
    users.clear()
    for record in (named, nameless, nameless):
        images.remove_nameless(record)
    assert images.resolve("named:1").id == named.id
    with pytest.raises(NotFound):
        images.resolve(nameless.id)
