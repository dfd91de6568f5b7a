import os
import threading
from pathlib import Path

import msgspec
import pytest

from argosy.database import Database
from argosy.image.catalog import Catalog
from argosy.image.content import ContentStore
from argosy.image.reference import parse_reference
from argosy.spec import oci_image

from .samples import configuration


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(os.fspath(tmp_path / "content"))


@pytest.fixture
def catalog(database: Database, content: ContentStore) -> Catalog:
    return Catalog(database, content)


def add(catalog: Catalog, content: ContentStore, name: str, *references: str, parent: str = "") -> str:
    data = configuration(Labels={"name": name})
    image = content.put(data)
    document = msgspec.json.decode(data, type=oci_image.Image)
    catalog.add(image, document, 1, parent=parent, references=[parse_reference(r) for r in references])
    return image


def test_everything_is_read_back_from_the_database(
    catalog: Catalog, content: ContentStore, database: Database
) -> None:
    base = add(catalog, content, "base", "base:1")
    child = add(catalog, content, "child", "child:1", "child:2", parent=base)
    again = Catalog(database, content)
    assert {record.id: record for record in again.all()} == {record.id: record for record in catalog.all()}
    assert again.children(base) == [child]


def test_a_reference_points_at_one_image(catalog: Catalog, content: ContentStore) -> None:
    first = add(catalog, content, "first", "app:1")
    second = add(catalog, content, "second", "app:1")
    found = catalog.find("app:1")
    assert found is not None
    assert found.id == second
    kept = catalog.get(first)
    assert kept is not None
    assert kept.tags == ()


def test_a_beginning_that_fits_several_ids_finds_none(catalog: Catalog, content: ContentStore) -> None:
    images = [add(catalog, content, str(number)) for number in range(20)]
    # Of twenty IDs, two begin with the same of sixteen digits.
    first = next(image[7] for image in images if sum(other[7] == image[7] for other in images) > 1)
    assert catalog.find_by_prefix(first) is None
    assert catalog.find_by_prefix(images[0][:40]) is not None
    assert catalog.find_by_prefix("xyz") is None


def test_deleting_an_image_takes_its_references_and_orphans_its_children(
    catalog: Catalog, content: ContentStore
) -> None:
    base = add(catalog, content, "base", "base:1")
    child = add(catalog, content, "child", parent=base)
    catalog.delete(base)
    assert catalog.find("base:1") is None
    record = catalog.get(child)
    assert record is not None
    assert record.parent == ""


def test_looking_up_does_not_wait_for_a_write(
    catalog: Catalog, content: ContentStore, database: Database
) -> None:
    add(catalog, content, "app", "app:1", "app:2")
    held, released = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        released.wait(10)

    blocking = database.submit(hold)
    assert held.wait(10)
    writer = threading.Thread(target=catalog.unpoint, args=(parse_reference("app:1"),))
    writer.start()
    try:
        assert catalog.find("app:2") is not None
        assert catalog.find("absent") is None
    finally:
        released.set()
        writer.join(10)
    blocking.result(10)
    assert catalog.find("app:1") is None


def test_where_a_layer_came_from_is_remembered(catalog: Catalog) -> None:
    descriptor = oci_image.Descriptor("type", "sha256:" + "1" * 64, 5)
    catalog.add_layer_source("sha256:" + "2" * 64, "docker.io/library/app", descriptor)
    assert catalog.layer_sources("sha256:" + "2" * 64) == {"docker.io/library/app": descriptor}
    catalog.forget_chains([], ["sha256:" + "2" * 64])
    assert catalog.layer_sources("sha256:" + "2" * 64) == {}
