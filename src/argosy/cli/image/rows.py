"""An image of the list, once for each of its names, in the words that `images` shows."""

from __future__ import annotations

import time

from argosy.cli.container.rows import go_time
from argosy.ids import short
from argosy.units import format_bytes, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from argosy.client.docker import Document

NONE = "<none>"


def rows_of(image: Document, *, trunc: bool, digests: bool = False) -> Iterator[Document]:
    for repository, tag, digest in _names(image, digests):
        created = image["Created"]
        yield {
            "Containers": _count(image.get("Containers", -1)),
            "CreatedAt": go_time(created),
            "CreatedSince": f"{human_duration(time.time() - created)} ago",
            "Digest": digest,
            "ID": short(image["Id"]) if trunc else image["Id"],
            "Repository": repository,
            "SharedSize": _size(image.get("SharedSize", -1)),
            "Size": format_bytes(image["Size"], 3),
            "Tag": tag,
            "UniqueSize": _unique(image),
            "VirtualSize": format_bytes(image["Size"]),
        }


def _names(image: Document, digests: bool) -> list[tuple[str, str, str]]:
    tags: dict[str, list[str]] = {}
    for name in image.get("RepoTags") or ():
        repository, _, tag = name.rpartition(":")
        tags.setdefault(repository, []).append(tag)
    known: dict[str, list[str]] = {}
    for name in image.get("RepoDigests") or ():
        repository, _, digest = name.partition("@")
        known.setdefault(repository, []).append(digest)
    result = []
    for repository, names in tags.items():
        of_repository = known.pop(repository, [])
        for tag in names:
            if digests and of_repository:
                result += [(repository, tag, digest) for digest in of_repository]
            else:
                result.append((repository, tag, NONE))
    for repository, of_repository in known.items():
        if digests:
            result += [(repository, NONE, digest) for digest in of_repository]
        else:
            result.append((repository, NONE, NONE))
    return result or [(NONE, NONE, NONE)]


def _count(number: int) -> str:
    return "N/A" if number == -1 else str(number)


def _size(size: int) -> str:
    return "N/A" if size == -1 else format_bytes(size)


def _unique(image: Document) -> str:
    shared = image.get("SharedSize", -1)
    return "N/A" if shared == -1 else format_bytes(image["Size"] - shared)
