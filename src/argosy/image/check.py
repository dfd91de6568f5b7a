"""Reading the whole store through: what is on the disk is what was put there, and nothing is missing."""

from collections.abc import Iterator
from dataclasses import dataclass

from argosy.errors import ArgosyError, NotFound
from argosy.image.catalog import Catalog
from argosy.image.content import ContentStore
from argosy.image.snapshot import Snapshotter


@dataclass(frozen=True, slots=True)
class Checked:
    """`kind` is "content" or "snapshot", `images` are the names of those that need it. An empty
    `problem` is none."""

    kind: str
    name: str
    size: int
    images: tuple[str, ...]
    problem: str = ""
    remedy: str = ""


def check_store(catalog: Catalog, content: ContentStore, snapshotter: Snapshotter) -> Iterator[Checked]:
    """Nothing is changed. What comes and goes meanwhile may be passed over."""
    users: dict[str, list[str]] = {}
    for record in catalog.all():
        for digest in dict.fromkeys((record.id, *record.diff_ids)):
            users.setdefault(digest, []).append(record.tags[0] if record.tags else record.id)
    for digest in sorted({*users, *content.walk()}):
        images = tuple(users.get(digest, ()))
        try:
            size = content.size(digest)
            whole = content.verify(digest)
        except NotFound:
            if images and _is_wanted(catalog, digest):
                yield Checked("content", digest, 0, images, "is missing", _again(images))
            continue
        if whole:
            yield Checked("content", digest, size, images)
        else:
            yield Checked("content", digest, size, images, "is damaged", _again(images))
    for info in sorted(snapshotter.walk(), key=lambda info: info.id):
        if not info.committed:
            continue
        try:
            snapshotter.verify(info.id)
        except NotFound:
            continue
        except ArgosyError as error:
            yield Checked("snapshot", info.id, 0, (), error.message, error.hint)
        else:
            yield Checked("snapshot", info.id, snapshotter.allocated(info.id), ())


def _is_wanted(catalog: Catalog, digest: str) -> bool:
    return any(digest == record.id or digest in record.diff_ids for record in catalog.all())


def _again(images: tuple[str, ...]) -> str:
    if not images:
        return "Nothing needs it; the next argosy image prune removes it."
    return f"Start afresh: argosy system check --repair, then pull or load {images[0]} again."
