"""`docker buildx du` and `docker builder prune`: what the builder knows, by containerd's filters."""

import functools
import re
import time
from collections.abc import Sequence

from argosy.api.buildkit.status import timestamp
from argosy.api.buildkit.trees import Trees
from argosy.build.usage import Entry, Limits, tree_size
from argosy.build.usage import Usage as BuilderUsage
from argosy.errors import InvalidParameter
from argosy.spec.buildkit import PruneRequest, UsageRecord

_SELECTOR = re.compile(r"([\w.]+)\s*(==|!=|~=)\s*(.*)", re.DOTALL)
_STEP, _CONTEXT = "regular", "source.local"


class Usage:
    def __init__(self, usage: BuilderUsage) -> None:
        self._usage = usage

    def records(self, filters: Sequence[str]) -> list[UsageRecord]:
        """Raises InvalidParameter."""
        return [_record(entry) for entry in self._usage.entries() if _matches(entry, filters)]

    def prune(self, request: PruneRequest) -> list[UsageRecord]:
        """Raises InvalidParameter."""
        latest = time.time_ns() - request.keep_duration

        def choose(entries: list[Entry]) -> list[Entry]:
            old = [entry for entry in entries if entry.last_used <= latest]
            return [entry for entry in old if _matches(entry, request.filter)]

        limits = Limits(request.reserved_space, request.max_used_space, request.min_free_space)
        found, _ = self._usage.prune_of(choose, every=request.all, limits=limits)
        return [_record(entry) for entry in found]


def received(trees: Trees) -> list[Entry]:
    """Build contexts that came from clients."""
    return [
        Entry(
            id=kept.name,
            kind=_CONTEXT,
            description="local source",
            parents=[],
            size=tree_size(kept.path),
            created=kept.last_used,
            last_used=kept.last_used,
            uses=1,
            in_use=False,
            shared=False,
            remove=functools.partial(trees.remove, kept.name),
        )
        for kept in trees.all()
    ]


def _record(entry: Entry) -> UsageRecord:
    return UsageRecord(
        entry.id,
        entry.kind != _STEP,
        entry.in_use,
        entry.size,
        timestamp(entry.created),
        timestamp(entry.last_used),
        entry.uses,
        entry.description,
        entry.kind,
        entry.shared,
        list(entry.parents),
    )


def _matches(entry: Entry, filters: Sequence[str]) -> bool:
    """Any of the filters, and of it every selector."""
    wanted = [text for text in filters if text]
    if not wanted:
        return True
    return any(all(_selected(entry, selector.strip()) for selector in text.split(",")) for text in wanted)


def _selected(entry: Entry, selector: str) -> bool:
    fields = {
        "id": entry.id,
        "type": entry.kind,
        "description": entry.description,
        "inuse": _flag(entry.in_use),
        "mutable": _flag(entry.kind != _STEP),
        "immutable": _flag(entry.kind == _STEP),
        "shared": _flag(entry.shared),
        "private": _flag(not entry.shared),
        "parents": ";".join(entry.parents),
    }
    found = _SELECTOR.fullmatch(selector)
    name = found[1] if found else selector
    if name not in fields:
        raise InvalidParameter(f"invalid filter {selector!r}", hint=f"Fields are: {', '.join(fields)}.")
    value = fields[name]
    if found is None:
        return bool(value)
    wanted = found[3].strip("\"'")
    if found[2] == "~=":
        try:
            return re.search(wanted, value) is not None
        except re.error as error:
            raise InvalidParameter(f"invalid filter {selector!r}: {error}") from None
    return (value == wanted) == (found[2] == "==")


def _flag(value: bool) -> str:
    return "true" if value else ""
