"""What building has left on the disk, and how to be rid of it.

Entries are the layers of steps (`regular`), the directories of RUN --mount=type=cache (`exec.cachemount`),
and what others add. An entry whose layer belongs to an image as well is `shared`: removing it frees nothing.
"""

import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from argosy.build.cache import BuildCache, Record
from argosy.build.cache_mounts import CacheMounts
from argosy.errors import InvalidParameter
from argosy.image import Images
from argosy.image.goformat import parse_moment

_STEP, _MOUNT = "regular", "exec.cachemount"
_FILTERS = frozenset("id type description inuse shared private parents until unused-for".split())


@dataclass(frozen=True, slots=True)
class Entry:
    """Times in Unix nanoseconds, `size` in bytes."""

    id: str
    kind: str
    description: str
    parents: Sequence[str]
    size: int
    created: int
    last_used: int
    uses: int
    in_use: bool
    shared: bool
    remove: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may stay, in bytes; 0 says nothing. `reserved` stays whatever the others say."""

    reserved: int = 0
    most: int = 0
    free: int = 0


NO_LIMITS = Limits()


class Usage:
    """Thread-safe. `root` is a directory on the disk that it all is on."""

    def __init__(self, cache: BuildCache, mounts: CacheMounts, images: Images, root: str) -> None:
        self._cache = cache
        self._mounts = mounts
        self._images = images
        self._root = root
        self._others: list[Callable[[], Iterable[Entry]]] = []

    def add(self, entries: Callable[[], Iterable[Entry]]) -> None:
        """There is more, in the hands of the caller."""
        self._others.append(entries)

    def entries(self) -> list[Entry]:
        others = [entry for entries in self._others for entry in entries()]
        return [*self._steps(), *self._directories(), *others]

    def prune(
        self, filters: Mapping[str, Sequence[str]], *, every: bool = True, limits: Limits = NO_LIMITS
    ) -> tuple[list[Entry], int]:
        """As `prune_of`, by Docker's filters. Raises InvalidParameter."""
        return self.prune_of(
            lambda entries: chosen(entries, filters, time.time_ns()), every=every, limits=limits
        )

    def prune_of(
        self, choose: Callable[[list[Entry]], list[Entry]], *, every: bool = True, limits: Limits = NO_LIMITS
    ) -> tuple[list[Entry], int]:
        """The longest unused first, until little enough is left. Without `every`, what images have stays.

        Returns what went, and the bytes that this gave back. Raises what `choose` raises.
        """
        entries = sorted(self.entries(), key=lambda entry: entry.last_used)
        surplus = self._surplus(sum(entry.size for entry in entries if not entry.shared), limits)
        found = []
        for entry in choose(entries):
            if entry.in_use or (entry.shared and not every):
                continue
            if surplus is not None and surplus <= 0:
                break
            if surplus is not None and not entry.shared:
                surplus -= entry.size
            found.append(entry)
        for entry in found:
            entry.remove()
        freed = sum(entry.size for entry in found if entry.kind != _STEP)
        if any(entry.kind == _STEP for entry in found):
            collected = self._images.collect()
            freed += collected.snapshot_bytes + collected.content_bytes
        return found, freed

    def _surplus(self, used: int, limits: Limits) -> int | None:
        """How many bytes are too many; None if all may go."""
        if not (limits.reserved or limits.most or limits.free):
            return None
        over = used - limits.most if limits.most else 0
        if limits.free:
            found = os.statvfs(self._root)
            over = max(over, limits.free - found.f_bavail * found.f_frsize)
        if not limits.most and not limits.free:
            return used - limits.reserved
        return min(over, used - limits.reserved)

    def _steps(self) -> list[Entry]:
        """A result is one entry, under however many keys it is known."""
        held = self._images.layers()
        by_id: dict[str, list[Record]] = {}
        for record in self._cache.all():
            by_id.setdefault(record.id, []).append(record)
        ids = {records[0].diff_ids: identifier for identifier, records in by_id.items()}
        found = []
        for identifier, records in by_id.items():
            newest = max(records, key=lambda record: record.last_used)
            parent = ids.get(newest.diff_ids[:-1])
            keys = [record.key for record in records]
            found.append(
                Entry(
                    identifier,
                    newest.kind,
                    newest.description,
                    [parent] if parent else [],
                    newest.size,
                    newest.created,
                    newest.last_used,
                    sum(record.uses for record in records),
                    # A build that needs it has a lease on its layers.
                    False,
                    newest.diff_id in held,
                    functools.partial(self._cache.remove, keys),
                )
            )
        return found

    def _directories(self) -> list[Entry]:
        in_use = self._mounts.in_use()
        return [
            Entry(
                name,
                _MOUNT,
                "cached mount of a RUN instruction",
                [],
                tree_size(path),
                used,
                used,
                1,
                name in in_use,
                False,
                functools.partial(self._mounts.remove, name),
            )
            for name, path, used in self._mounts.all()
            if not name.startswith(".")
        ]


def chosen(entries: Iterable[Entry], filters: Mapping[str, Sequence[str]], now: int) -> list[Entry]:
    """Those that every filter takes. Raises InvalidParameter."""
    unknown = sorted(set(filters) - _FILTERS)
    if unknown:
        raise InvalidParameter(
            f"invalid filter '{unknown[0]}'", hint=f"Filters: {', '.join(sorted(_FILTERS))}"
        )
    return [entry for entry in entries if all(_takes(entry, key, filters[key], now) for key in filters)]


def _takes(entry: Entry, key: str, values: Sequence[str], now: int) -> bool:
    match key:
        case "id":
            return any(entry.id.startswith(value.rstrip("*")) for value in values)
        case "type":
            return entry.kind in values
        case "description":
            return any(value in entry.description for value in values)
        case "parents":
            return any(value in entry.parents for value in values)
        case "until" | "unused-for":
            return all(entry.last_used < parse_moment(value, now) for value in values)
    wanted = {"inuse": entry.in_use, "shared": entry.shared, "private": not entry.shared}[key]
    return all(wanted == (value.lower() not in ("false", "0")) for value in values)


def tree_size(path: str) -> int:
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
