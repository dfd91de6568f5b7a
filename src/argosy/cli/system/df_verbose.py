"""`system df --verbose`: every object and what it takes."""

from __future__ import annotations

import time

from argosy.cli.container import rows as containers
from argosy.cli.image import rows as images
from argosy.cli.table import render
from argosy.cli.times import unix_seconds
from argosy.units import format_bytes, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.client.docker import Document

_IMAGES = ("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS")
_CONTAINERS = (
    "CONTAINER ID",
    "IMAGE",
    "COMMAND",
    "LOCAL VOLUMES",
    "SIZE",
    "CREATED",
    "STATUS",
    "NAMES",
)
_VOLUMES = ("VOLUME NAME", "LINKS", "SIZE")
_CACHE = ("CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED")


def report(usage: Document) -> str:
    cache = usage.get("BuildCache") or []
    size = format_bytes(sum(item["Size"] for item in cache if not item.get("Shared")))
    return (
        f"Images space usage:\n\n{render([_IMAGES, *_image_rows(usage)])}\n"
        f"Containers space usage:\n\n{render([_CONTAINERS, *_container_rows(usage)])}\n"
        f"Local Volumes space usage:\n\n{render([_VOLUMES, *_volume_rows(usage)])}\n"
        f"Build cache usage: {size}\n\n{render([_CACHE, *_cache_rows(cache)])}"
    )


def _image_rows(usage: Document) -> list[list[str]]:
    fields = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
    found = [
        row for image in usage.get("Images") or () for row in list(images.rows_of(image, trunc=True))[:1]
    ]
    return [[row[field] for field in fields] for row in found]


def _container_rows(usage: Document) -> list[list[str]]:
    fields = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
    found = [containers.row({**item, "SizeRootFs": 0}, trunc=True) for item in usage.get("Containers") or ()]
    return [[row[field] for field in fields] for row in found]


def _volume_rows(usage: Document) -> list[list[str]]:
    rows = []
    for volume in usage.get("Volumes") or ():
        data = volume.get("UsageData") or {}
        size = data.get("Size", -1)
        rows.append(
            [volume["Name"], str(data.get("RefCount", 0)), "N/A" if size == -1 else format_bytes(size)]
        )
    return rows


def _cache_rows(records: list[Document]) -> list[list[str]]:
    return [
        [
            item["ID"][:12],
            item["Type"],
            format_bytes(item["Size"]),
            _ago(item.get("CreatedAt")),
            _ago(item.get("LastUsedAt")),
            str(item.get("UsageCount", 0)),
            str(bool(item.get("Shared"))).lower(),
        ]
        for item in records
    ]


def _ago(text: str | None) -> str:
    return f"{human_duration(time.time() - unix_seconds(text))} ago" if text else ""
