"""Which containers a list shows, and in which order. Pure."""

import re
from collections.abc import Callable, Sequence

from argosy.engine.container import Container
from argosy.engine.lifecycle import Status
from argosy.errors import InvalidParameter, NotFound
from argosy.image.query import has_label
from argosy.network.ports import parse_port

Filters = dict[str, list[str]]
_STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTH = ("none", "starting", "healthy", "unhealthy")
_TRUE, _FALSE = ("1", "true"), ("0", "false")
_KNOWN = set(
    (
        "ancestor before since exited expose publish health id isolation is-task label name network status "
        "volume"
    ).split()
)
_LAST_PORT = 65535
_PRUNE_KNOWN = {"label", "label!", "until"}


def choose(
    containers: Sequence[Container],
    filters: Filters,
    *,
    every: bool = False,
    limit: int = 0,
    is_image: Callable[[Container, str], bool],
) -> list[Container]:
    """`containers` newest first. Raises InvalidParameter, NotFound."""
    for key in filters:
        if key not in _KNOWN:
            raise InvalidParameter(f"invalid filter '{key}'")
    for status in filters.get("status", []):
        if status not in _STATUSES:
            raise InvalidParameter(
                f"invalid filter 'status={status}': invalid value for state ({status}): must be one of "
                f"{', '.join(_STATUSES)}"
            )
    for health in filters.get("health", []):
        if health not in _HEALTH:
            raise InvalidParameter(
                f"invalid filter 'health={health}': invalid value for health ({health}): must be one of "
                f"{', '.join(_HEALTH)}"
            )
    for code in filters.get("exited", []):
        if not code.lstrip("-").isdigit():
            raise InvalidParameter(
                f"invalid filter 'exited={code}': strconv.Atoi: parsing \"{code}\": invalid syntax"
            )
    boolean(filters, "is-task")
    for kind in ("expose", "publish"):
        for port in filters.get(kind, []):
            _wanted_ports(kind, port)
    before = _created(containers, filters.get("before", []), max)
    since = _created(containers, filters.get("since", []), min)
    everything = every or limit > 0 or bool(filters.keys() & {"status", "exited", "before", "since"})
    chosen = []
    for container in containers:
        if not everything and not container.status.is_running():
            continue
        if before is not None and container.spec.created >= before:
            continue
        if since is not None and container.spec.created <= since:
            continue
        if all(
            _MATCHERS[key](container, values) for key, values in filters.items() if key in _MATCHERS
        ) and all(
            any(is_image(container, value) for value in values)
            for key, values in filters.items()
            if key == "ancestor"
        ):
            chosen.append(container)
    return chosen[:limit] if limit > 0 else chosen


def _created(
    containers: Sequence[Container], names: list[str], pick: Callable[[list[int]], int]
) -> int | None:
    if not names:
        return None
    found = []
    for name in names:
        matching = [c for c in containers if c.name == name.removeprefix("/") or c.id.startswith(name)]
        if not matching:
            raise NotFound(f"No such container: {name}")
        found.append(matching[0].spec.created)
    return pick(found)


def boolean(filters: Filters, key: str) -> bool | None:
    """Raises InvalidParameter unless it says one of true and false."""
    values = [value.lower() for value in filters.get(key, [])]
    if not values:
        return None
    if not set(values) <= {*_TRUE, *_FALSE} or len({value in _TRUE for value in values}) > 1:
        raise InvalidParameter(f"invalid filter '{key}=[{' '.join(filters[key])}]'")
    return values[0] in _TRUE


def has_labels(labels: dict[str, str], wanted: list[str]) -> bool:
    return all(has_label(labels, item) for item in wanted)


def _by_name(container: Container, values: list[str]) -> bool:
    for value in values:
        try:
            if re.search(value, f"/{container.name}") or re.search(value, container.name):
                return True
        except re.error:
            # What is no pattern is a name.
            if value == container.name:
                return True
    return False


def _by_exit(container: Container, values: list[str]) -> bool:
    state = container.state
    return state.status == Status.EXITED and str(state.exit_code) in values


def _ports(container: Container, *, published: bool) -> set[tuple[int, str]]:
    attachment = container.state.attachment
    ports = attachment.ports if attachment else []
    if published:
        return {(number, protocol) for _, number, protocol, _ in ports}
    found = {(port, protocol) for _, _, protocol, port in ports}
    return found | {parse_port(port) for port in container.spec.config.exposed_ports or {}}


def _wanted_ports(kind: str, value: str) -> tuple[range, str]:
    """`80`, `80-90/udp`. Raises InvalidParameter."""
    text, _, protocol = value.partition("/")
    first, _, last = text.partition("-")
    for number in (first, last or first):
        problem = "" if number.isdecimal() else "invalid syntax"
        if not problem and int(number) > _LAST_PORT:
            problem = "value out of range"
        if problem:
            raise InvalidParameter(
                f'error while looking up for {kind} {value}: strconv.ParseUint: parsing "{number}": {problem}'
            )
    return range(int(first), int(last or first) + 1), protocol or "tcp"


def _by_port(container: Container, values: list[str], *, published: bool) -> bool:
    ports = _ports(container, published=published)
    for value in values:
        wanted, protocol = _wanted_ports("publish" if published else "expose", value)
        if any(port in wanted and kind == protocol for port, kind in ports):
            return True
    return False


def _by_volume(container: Container, values: list[str]) -> bool:
    return any(
        value in (point.name, point.source, point.destination)
        for point in container.spec.mounts
        for value in values
    )


_MATCHERS: dict[str, Callable[[Container, list[str]], bool]] = {
    "id": lambda c, values: any(c.id.startswith(value) for value in values),
    "name": _by_name,
    "label": lambda c, values: has_labels(c.labels(), values),
    "status": lambda c, values: str(c.status) in values,
    "exited": _by_exit,
    "expose": lambda c, values: _by_port(c, values, published=False),
    "publish": lambda c, values: _by_port(c, values, published=True),
    "volume": _by_volume,
    "network": lambda c, values: c.spec.host.network_mode in values,
    "health": lambda c, values: (c.state.health.status if c.state.health else "none") in values,
    "is-task": lambda c, values: values[0].lower() in _FALSE,
    # Of Windows; every container of Linux has the one that is asked for.
    "isolation": lambda c, values: True,
}


def prunable(containers: Sequence[Container], filters: Filters, until: int | None) -> list[Container]:
    """Stopped containers. `until` in Unix nanoseconds. Raises InvalidParameter."""
    for key in filters:
        if key not in _PRUNE_KNOWN:
            raise InvalidParameter(f"invalid filter '{key}'")
    return [
        container
        for container in containers
        if container.status in (Status.CREATED, Status.EXITED)
        and (until is None or container.spec.created <= until)
        and has_labels(container.labels(), filters.get("label", []))
        and not (filters.get("label!") and has_labels(container.labels(), filters["label!"]))
    ]
