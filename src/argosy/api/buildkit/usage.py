"""What building has left on the disk, and how to be rid of it: `docker buildx du`, `docker builder prune`.

Records are the layers of steps (`regular`), directories of RUN --mount=type=cache (`exec.cachemount`) and
build contexts that were received (`source.local`). Filters are containerd's, as far as clients use them.
"""

import functools
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from argosy.api.buildkit.status import timestamp
from argosy.api.buildkit.trees import Trees
from argosy.build.builder import Builder
from argosy.build.cache import Record
from argosy.errors import InvalidParameter
from argosy.image import Images
from argosy.spec.buildkit import PruneRequest, UsageRecord

_SELECTOR = re.compile(r"([\w.]+)\s*(==|!=|~=)\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Entry:
    record: UsageRecord
    last_used: int
    remove: Callable[[], object]


class Usage:
    def __init__(self, builder: Builder, images: Images, trees: Trees) -> None:
        self._builder = builder
        self._images = images
        self._trees = trees

    def records(self, filters: Sequence[str]) -> list[UsageRecord]:
        """Raises InvalidParameter."""
        return [entry.record for entry in self._entries() if _matches(entry.record, filters)]

    def prune(self, request: PruneRequest) -> Iterable[UsageRecord]:
        """The longest unused first, until little enough is left. Raises InvalidParameter."""
        entries = sorted(self._entries(), key=lambda entry: entry.last_used)
        latest = time.time_ns() - request.keep_duration
        used = sum(entry.record.size for entry in entries)
        keep = max(request.reserved_space, request.max_used_space)
        found = []
        for entry in entries:
            record = entry.record
            if record.in_use or entry.last_used > latest or not _matches(record, request.filter):
                continue
            if keep and used <= keep:
                break
            used -= record.size
            found.append(entry)
        for entry in found:
            entry.remove()
        if any(entry.record.record_type == "regular" for entry in found):
            self._images.collect()
        return [entry.record for entry in found]

    def _entries(self) -> list[_Entry]:
        return [*self._steps(), *self._mounts(), *self._contexts()]

    def _steps(self) -> list[_Entry]:
        """A result is one record, under however many keys it is known."""
        cache = self._builder.cache
        in_use = cache.in_use()
        by_id: dict[str, list[Record]] = {}
        for record in cache.all():
            by_id.setdefault(record.id, []).append(record)
        ids = {records[0].diff_ids: identifier for identifier, records in by_id.items()}
        found = []
        for identifier, records in by_id.items():
            newest = max(records, key=lambda record: record.last_used)
            parent = ids.get(newest.diff_ids[:-1])
            keys = [record.key for record in records]
            shown = UsageRecord(
                id=identifier,
                in_use=any(key in in_use for key in keys),
                size=newest.size,
                created=timestamp(newest.created),
                last_used=timestamp(newest.last_used),
                usage_count=sum(record.uses for record in records),
                description=newest.description,
                record_type=newest.kind,
                parents=[parent] if parent else [],
            )
            found.append(_Entry(shown, newest.last_used, functools.partial(cache.remove, keys)))
        return found

    def _mounts(self) -> list[_Entry]:
        mounts = self._builder.mounts
        in_use = mounts.in_use()
        return [
            self._directory(
                name, path, last_used, "exec.cachemount", "cached mount", mounts.remove, in_use=name in in_use
            )
            for name, path, last_used in mounts.all()
            if not name.startswith(".")
        ]

    def _contexts(self) -> list[_Entry]:
        return [
            self._directory(
                kept.name, kept.path, kept.last_used, "source.local", "local source", self._trees.remove
            )
            for kept in self._trees.all()
        ]

    def _directory(
        self,
        name: str,
        path: str,
        last_used: int,
        kind: str,
        description: str,
        remove: Callable[[str], object],
        *,
        in_use: bool = False,
    ) -> _Entry:
        shown = UsageRecord(
            id=name,
            mutable=True,
            in_use=in_use,
            size=size_of(path),
            last_used=timestamp(last_used),
            created=timestamp(last_used),
            usage_count=1,
            description=description,
            record_type=kind,
        )
        return _Entry(shown, last_used, lambda: remove(name))


def size_of(path: str) -> int:
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _matches(record: UsageRecord, filters: Sequence[str]) -> bool:
    """Any of the filters, and of it every selector."""
    wanted = [text for text in filters if text]
    if not wanted:
        return True
    return any(all(_selected(record, selector.strip()) for selector in text.split(",")) for text in wanted)


def _selected(record: UsageRecord, selector: str) -> bool:
    fields = {
        "id": record.id,
        "type": record.record_type,
        "description": record.description,
        "inuse": "true" if record.in_use else "",
        "mutable": "true" if record.mutable else "",
        "immutable": "" if record.mutable else "true",
        "shared": "true" if record.shared else "",
        "private": "" if record.shared else "true",
        "parents": ";".join(record.parents),
    }
    found = _SELECTOR.fullmatch(selector)
    name = found[1] if found else selector
    if name not in fields:
        raise InvalidParameter(f"invalid filter {selector!r}", hint=f"Fields are: {', '.join(fields)}.")
    value = fields[name]
    if found is None:
        return bool(value)
    wanted = found[3].strip("\"'")
    match found[2]:
        case "==":
            return value == wanted
        case "!=":
            return value != wanted
    try:
        return re.search(wanted, value) is not None
    except re.error as error:
        raise InvalidParameter(f"invalid filter {selector!r}: {error}") from None
