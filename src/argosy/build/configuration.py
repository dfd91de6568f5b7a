"""The image's configuration: what the stage says of itself, the layers that came of it, and its history."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from argosy.build.graph import HISTORY_COMMENT, Built, Step
from argosy.build.solver import Outcome
from argosy.build.vertex import Vertex
from argosy.spec import oci_image
from argosy.units import rfc3339


def configuration(
    built: Built,
    diff_ids: Sequence[str],
    outcome_of: Callable[[Vertex], Outcome | None],
    labels: Mapping[str, str],
    latest: int | None,
) -> bytes:
    """The document, ready to be stored. With `latest` no time in it is younger."""
    below = built.base
    history = list(below.history or [])
    created = _moment(below.created)
    for step in built.steps:
        outcome = outcome_of(step.vertex) if step.vertex is not None else None
        if outcome is not None and outcome.created:
            created = rfc3339(_clamped(outcome.created, latest))
        history.append(_entry(step, created))
    if created is None:
        created = rfc3339(_clamped(time.time_ns(), latest))
        history = [
            entry if entry.created else msgspec.structs.replace(entry, created=created) for entry in history
        ]
    system, _, rest = built.platform.partition("/")
    architecture, _, variant = rest.partition("/")
    config = built.config
    if labels:
        config = msgspec.structs.replace(config, labels={**(config.labels or {}), **labels})
    return msgspec.json.encode(
        oci_image.Image(
            architecture=below.architecture or architecture,
            os=below.os or system,
            os_version=below.os_version,
            variant=below.variant or variant,
            created=created,
            author=built.author or below.author,
            config=config,
            rootfs=oci_image.RootFS("layers", list(diff_ids)),
            history=history,
        ),
        # Clients send labels in no order. As Go's encoding/json, which sorts what is a map.
        order="deterministic",
    )


def _entry(step: Step, created: str | None) -> oci_image.History:
    return oci_image.History(
        created=created,
        created_by=step.created_by,
        author=step.author,
        comment=HISTORY_COMMENT,
        empty_layer=step.vertex is None,
    )


def _moment(text: str | None) -> str | None:
    """Go's zero time is none."""
    return None if text is None or text.startswith("0001-") else text


def _clamped(moment: int, latest: int | None) -> int:
    return moment if latest is None else min(moment, latest)
