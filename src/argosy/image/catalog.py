"""Which images there are and what points at them: the tables, and their copy in memory.

An image is there while it has a row in `images`; its documents and layers are in the content store. A
row in `image_references` is a tag or a digest under which the image goes. Everything is read once at
the start and kept in memory, since every container's creation asks; a change is committed to the
database first, then made in memory.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable

import msgspec

from argosy.database import Database
from argosy.ids import is_prefix
from argosy.image import digest as digests
from argosy.image.content import ContentStore
from argosy.image.goformat import parse_time
from argosy.image.record import ImageRecord
from argosy.image.reference import Reference, as_image_id, parse_reference
from argosy.spec import oci_image

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY, size INTEGER NOT NULL, parent TEXT NOT NULL, last_tagged INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_references (
    reference TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES images (id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_chains (
    chain_id TEXT PRIMARY KEY, diff_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_layer_sources (
    diff_id TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL,
    size INTEGER NOT NULL, media_type TEXT NOT NULL,
    PRIMARY KEY (diff_id, repository)
) WITHOUT ROWID;
"""


class _Row(msgspec.Struct, frozen=True):
    document: oci_image.Image
    size: int
    parent: str
    last_tagged: int


class Catalog:
    """Thread-safe. References go in and out normalised; what they say is checked by the callers."""

    def __init__(self, database: Database, content: ContentStore) -> None:
        self._database = database
        # Changes come one after another; `_lock` is held only while memory is read or changed, never
        # while the disk is waited for, since the event loop asks too.
        self._changing = threading.Lock()
        self._lock = threading.RLock()
        self._rows: dict[str, _Row] = {}
        self._references: dict[Reference, str] = {}
        self._records: dict[str, ImageRecord] = {}
        # Texts that were looked up, until the next change.
        self._found: dict[str, ImageRecord] = {}
        database.define(_TABLES)
        self._load(content)

    def find(self, text: str) -> ImageRecord | None:
        """By reference, by ID, or by an ID's prefix if it is the only one. Raises InvalidParameter."""
        record = self._found.get(text)
        if record is None:
            with self._lock:
                record = self._search(text)
                if record is not None:
                    self._found[text] = record
        return record

    def find_by_prefix(self, text: str) -> ImageRecord | None:
        prefix = text.removeprefix("sha256:")
        if not is_prefix(prefix):
            return None
        with self._lock:
            matching = [image for image in self._rows if image.startswith(prefix, 7)]
            return self._records[matching[0]] if len(matching) == 1 else None

    def get(self, image: str) -> ImageRecord | None:
        return self._records.get(image)

    def all(self) -> list[ImageRecord]:
        with self._lock:
            return list(self._records.values())

    def target(self, reference: Reference) -> str | None:
        """The image that exactly this tag, or this digest whatever the tag, points at."""
        return self._references.get(reference.without_tag() if reference.digest else reference)

    def references(self, image: str) -> list[Reference]:
        """Sorted by name, as Docker lists them."""
        with self._lock:
            return sorted((r for r, target in self._references.items() if target == image), key=str)

    def references_of(self, repository: Reference) -> list[tuple[Reference, str]]:
        with self._lock:
            found = [(r, image) for r, image in self._references.items() if r.name == repository.name]
        return sorted(found, key=lambda pair: str(pair[0]))

    def children(self, image: str) -> list[str]:
        with self._lock:
            return [identifier for identifier, row in self._rows.items() if row.parent == image]

    def add(
        self,
        image: str,
        document: oci_image.Image,
        size: int,
        *,
        parent: str = "",
        references: Iterable[Reference] = (),
    ) -> ImageRecord:
        """Register an image and point references at it, in one. An image that is there stays as it is."""
        pointed = list(references)
        tagged = time.time_ns() if any(r.tag for r in pointed) else 0
        diff_ids = document.rootfs.diff_ids or []
        chains = list(zip(digests.chain_ids(diff_ids), diff_ids, strict=True))

        def write(connection: sqlite3.Connection) -> None:
            execute = connection.execute
            execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?)", (image, size, parent, 0))
            for chain in chains:
                execute("INSERT OR IGNORE INTO image_chains VALUES (?, ?)", chain)
            for reference in pointed:
                execute("INSERT OR REPLACE INTO image_references VALUES (?, ?)", (str(reference), image))
            if tagged:
                execute("UPDATE images SET last_tagged = ? WHERE id = ?", (tagged, image))

        with self._changing:
            self._database.write(write)
            return self._point(image, _Row(document, size, parent, 0), pointed, tagged)

    def _point(self, image: str, new: _Row, pointed: list[Reference], tagged: int) -> ImageRecord:
        with self._lock:
            row = self._rows.get(image) or new
            if tagged:
                row = msgspec.structs.replace(row, last_tagged=tagged)
            self._rows[image] = row
            touched = {image}
            for reference in pointed:
                touched.add(self._references.get(reference, image))
                self._references[reference] = image
            self._changed(touched)
            return self._records[image]

    def resize(self, image: str, size: int) -> None:
        """What an image takes on the disk has changed."""
        with self._changing:
            self._database.write(
                lambda connection: connection.execute(
                    "UPDATE images SET size = ? WHERE id = ?", (size, image)
                ),
                durable=False,
            )
            with self._lock:
                row = self._rows.get(image)
                if row is not None:
                    self._rows[image] = msgspec.structs.replace(row, size=size)
                    self._changed({image})

    def unpoint(self, reference: Reference) -> None:
        with self._changing:
            self._database.write(
                lambda connection: connection.execute(
                    "DELETE FROM image_references WHERE reference = ?", (str(reference),)
                )
            )
            with self._lock:
                image = self._references.pop(reference, None)
                self._changed({image} if image else set())

    def delete(self, image: str) -> None:
        """The image and whatever points at it."""

        def write(connection: sqlite3.Connection) -> None:
            execute = connection.execute
            execute("DELETE FROM image_references WHERE image = ?", (image,))
            execute("DELETE FROM images WHERE id = ?", (image,))
            execute("UPDATE images SET parent = '' WHERE parent = ?", (image,))

        with self._changing:
            self._database.write(write)
            self._drop(image)

    def delete_nameless(self, image: str) -> bool:
        """The image, if nothing points at it at that moment, and no image was made from it."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM images WHERE id = ?", (image,))

        with self._changing:
            if image not in self._rows or self.references(image) or self.children(image):
                return False
            self._database.write(write)
            self._drop(image)
            return True

    def _drop(self, image: str) -> None:
        with self._lock:
            self._references = {r: target for r, target in self._references.items() if target != image}
            self._rows.pop(image, None)
            orphans = {child for child, row in self._rows.items() if row.parent == image}
            for child in orphans:
                self._rows[child] = msgspec.structs.replace(self._rows[child], parent="")
            self._changed({image, *orphans})

    # Chains, and where layers came from

    def diff_id_of(self, chain: str) -> str | None:
        rows = self._database.read("SELECT diff_id FROM image_chains WHERE chain_id = ?", (chain,))
        return str(rows[0][0]) if rows else None

    def add_chain(self, chain: str, diff_id: str) -> None:
        """Remember which layer a snapshot adds, for as long as the snapshot is there."""
        self._database.write(
            lambda connection: connection.execute(
                "INSERT OR IGNORE INTO image_chains VALUES (?, ?)", (chain, diff_id)
            )
        )

    def forget_chains(self, chains: Iterable[str], diff_ids: Iterable[str]) -> None:
        gone = [(chain,) for chain in chains]
        layers = [(diff_id,) for diff_id in diff_ids]

        def write(connection: sqlite3.Connection) -> None:
            executemany = connection.executemany
            executemany("DELETE FROM image_chains WHERE chain_id = ?", gone)
            executemany("DELETE FROM image_layer_sources WHERE diff_id = ?", layers)

        if gone or layers:
            self._database.write(write, durable=False)

    def add_layer_source(self, diff_id: str, repository: str, descriptor: oci_image.Descriptor) -> None:
        """A registry's repository has this layer, in this form: a push need not upload it."""
        values = (diff_id, repository, descriptor.digest, descriptor.size, descriptor.media_type)
        self._database.write(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO image_layer_sources VALUES (?, ?, ?, ?, ?)", values
            ),
            durable=False,
        )

    def layer_sources(self, diff_id: str) -> dict[str, oci_image.Descriptor]:
        rows = self._database.read(
            "SELECT repository, digest, size, media_type FROM image_layer_sources WHERE diff_id = ?",
            (diff_id,),
        )
        return {
            str(repository): oci_image.Descriptor(str(media_type), str(digest), int(str(size)))
            for repository, digest, size, media_type in rows
        }

    # In memory. With the lock held.

    def _load(self, content: ContentStore) -> None:
        for image, size, parent, last_tagged in self._database.read(
            "SELECT id, size, parent, last_tagged FROM images"
        ):
            document = msgspec.json.decode(content.read(str(image)), type=oci_image.Image)
            self._rows[str(image)] = _Row(document, int(str(size)), str(parent), int(str(last_tagged)))
        for reference, image in self._database.read("SELECT reference, image FROM image_references"):
            self._references[parse_reference(str(reference))] = str(image)
        self._changed(set(self._rows))

    def _changed(self, images: set[str]) -> None:
        for image in images:
            row = self._rows.get(image)
            if row is None:
                self._records.pop(image, None)
            else:
                self._records[image] = self._record(image, row)
        self._found = {}

    def _record(self, image: str, row: _Row) -> ImageRecord:
        references = self.references(image)
        document = row.document
        return ImageRecord(
            id=image,
            chain_id=digests.chain_id(document.rootfs.diff_ids or []),
            config=document.config or oci_image.ImageConfig(),
            document=document,
            tags=tuple(r.familiar for r in references if not r.digest),
            digests=tuple(r.familiar for r in references if r.digest),
            size=row.size,
            created=parse_time(document.created),
            parent=row.parent,
            last_tagged=row.last_tagged,
        )

    def _search(self, text: str) -> ImageRecord | None:
        if image := as_image_id(text):
            return self._records.get(image)
        reference = parse_reference(text).with_default_tag()
        image = self.target(reference) or ""
        return self._records.get(image) or self.find_by_prefix(text)
