"""`docker images` and `docker image prune`: filters, and what they choose."""

import time
from collections.abc import Callable, Mapping, Sequence

from argosy.errors import InvalidParameter
from argosy.image import digest as digests
from argosy.image.catalog import Catalog
from argosy.image.delete import no_such_image
from argosy.image.goformat import parse_moment, path_match
from argosy.image.layers import Layers
from argosy.image.record import ImageRecord
from argosy.spec.docker_image import ImageSummary
from argosy.units import NANOSECONDS

Filters = Mapping[str, Sequence[str]]
# How many containers each image has, by ID.
ContainerCounts = Callable[[], Mapping[str, int]]

_LIST_FILTERS = {"dangling", "label", "label!", "before", "since", "until", "reference"}
_PRUNE_FILTERS = {"dangling", "label", "label!", "until"}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def select(
    catalog: Catalog,
    layers: Layers,
    filters: Filters,
    *,
    every: bool = False,
    shared_size: bool = False,
    containers: ContainerCounts | None = None,
) -> list[ImageSummary]:
    """Newest first. `every` includes the images that others were built from."""
    _require_known(filters, _LIST_FILTERS)
    dangling = boolean(filters, "dangling")
    after = max((_created(catalog, name) for name in filters.get("since", ())), default=None)
    before = min((_created(catalog, name) for name in filters.get("before", ())), default=None)
    until = _until(filters)
    patterns = filters.get("reference", ())
    for pattern in patterns:
        path_match(pattern, "")
    records = catalog.all()
    chosen = []
    for record in sorted(records, key=lambda record: -record.created):
        if before is not None and record.created >= before:
            continue
        if after is not None and record.created <= after:
            continue
        if (until is not None and record.created > until) or not _labels_match(record, filters):
            continue
        tags, names = _matching(record.tags, patterns), _matching(record.digests, patterns)
        if not tags and not names:
            if patterns or dangling is False or (not every and catalog.children(record.id)):
                continue
        elif dangling and tags:
            continue
        chosen.append(_summary(record, tags, names))
    if shared_size:
        _add_shared_sizes(chosen, records, layers)
    if containers is not None:
        counts = containers()
        for summary in chosen:
            summary.containers = counts.get(summary.id, 0)
    return chosen


def prunable(catalog: Catalog, filters: Filters) -> list[tuple[ImageRecord, list[str]]]:
    """The images that `docker image prune` tries to delete, and by which names (its ID if by none)."""
    _require_known(filters, _PRUNE_FILTERS)
    dangling_only = boolean(filters, "dangling") is not False
    until = _until(filters)
    chosen = []
    for record in catalog.all():
        references = catalog.references(record.id)
        if not references and catalog.children(record.id):
            continue
        if (until is not None and record.created > until) or not _labels_match(record, filters):
            continue
        if not references:
            chosen.append((record, [record.id]))
        elif not dangling_only or all(reference.digest for reference in references):
            chosen.append((record, [str(reference) for reference in references]))
    return chosen


def _summary(record: ImageRecord, tags: list[str], names: list[str]) -> ImageSummary:
    return ImageSummary(
        id=record.id,
        parent_id=record.parent,
        repo_tags=tags,
        repo_digests=names,
        created=record.created // NANOSECONDS,
        size=record.size,
        shared_size=-1,
        labels=record.config.labels,
        containers=0,
    )


def _add_shared_sizes(summaries: list[ImageSummary], records: list[ImageRecord], layers: Layers) -> None:
    users: dict[str, int] = {}
    stacks = {
        record.id: list(zip(digests.chain_ids(record.diff_ids), record.diff_ids, strict=True))
        for record in records
    }
    for stack in stacks.values():
        for chain, _ in stack:
            users[chain] = users.get(chain, 0) + 1
    for summary in summaries:
        summary.shared_size = sum(
            layers.allocated(chain, diff_id) for chain, diff_id in stacks[summary.id] if users[chain] > 1
        )


def _require_known(filters: Filters, known: set[str]) -> None:
    for name in filters:
        if name not in known:
            raise InvalidParameter(f"invalid filter '{name}'")


def boolean(filters: Filters, name: str) -> bool | None:
    values = filters.get(name, ())
    if not values:
        return None
    # As Docker's: of several only those count that mean something.
    meanings = {_BOOLEANS[value] for value in values if value in _BOOLEANS}
    if len(meanings) != 1:
        raise InvalidParameter(f"invalid filter '{name}=[{' '.join(values)}]'")
    return meanings.pop()


def _until(filters: Filters) -> int | None:
    values = filters.get("until", ())
    if len(values) > 1:
        raise InvalidParameter("invalid filter 'until': more than one until filter specified")
    return parse_moment(values[0], time.time_ns()) if values else None


def _created(catalog: Catalog, name: str) -> int:
    record = catalog.find(name)
    if record is None:
        raise no_such_image(name)
    return record.created


def _labels_match(record: ImageRecord, filters: Filters) -> bool:
    has = all(has_label(record.labels, wanted) for wanted in filters.get("label", ()))
    return has and not any(has_label(record.labels, unwanted) for unwanted in filters.get("label!", ()))


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """`key` or `key=value`, as every `label` filter has it."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Docker's FamiliarMatch: the whole name or the name without its tag."""
    if not patterns:
        return list(names)
    return [
        name
        for name in names
        if any(path_match(p, name) or path_match(p, _repository(name)) for p in patterns)
    ]


def _repository(familiar: str) -> str:
    name = familiar.partition("@")[0]
    slash = name.rfind("/")
    colon = name.rfind(":")
    return name[:colon] if colon > slash else name
