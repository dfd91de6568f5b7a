"""What a client is told while images move: the messages of Docker's JSON stream.

A message is a line such as {"status": …, "progressDetail": …, "progress": "[==>  ]", "id": …}; clients
keep one line of their display for each `id`, and redraw it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from argosy.image.tar import Source
from argosy.units import format_bytes

Message = dict[str, Any]
Report = Callable[[Message], object]

_INTERVAL = 0.1
_BAR = 50


def silent(_: Message) -> None:
    pass


class Progress:
    """Thread-safe; messages come out one at a time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()

    def stream(self, text: str) -> None:
        self._send({"stream": text})

    def status(self, text: str, identifier: str = "") -> None:
        """A line of its own, or the name of what is pulled as `identifier`."""
        self._send({"status": text, "id": identifier} if identifier else {"status": text})

    def step(self, identifier: str, action: str) -> None:
        self._send({"status": action, "progressDetail": {}, "id": identifier})

    def aux(self, details: dict[str, Any]) -> None:
        """For programs; a display passes over it."""
        self._send({"progressDetail": {}, "aux": details})

    def bar(self, identifier: str, action: str, current: int, total: int) -> None:
        detail = {"current": current, "total": total} if total > 0 else {"current": current}
        self._send(
            {"status": action, "progressDetail": detail, "progress": _drawn(current, total), "id": identifier}
        )

    def _send(self, message: Message) -> None:
        with self._lock:
            self._report(message)


class Meter:
    """The bar of one transfer, redrawn at most ten times a second."""

    def __init__(self, progress: Progress, identifier: str, action: str, total: int) -> None:
        self._progress = progress
        self._identifier = identifier
        self._action = action
        self._total = total
        self._next = 0.0

    def update(self, current: int) -> None:
        now = time.monotonic()
        if now >= self._next or current == self._total:
            self._next = now + _INTERVAL
            self._progress.bar(self._identifier, self._action, current, self._total)


class Metered:
    """A source that moves a meter."""

    def __init__(self, source: Source, meter: Meter) -> None:
        self._source = source
        self._meter = meter
        self._position = 0

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        if data:
            self._position += len(data)
            self._meter.update(self._position)
        return data


def _drawn(current: int, total: int) -> str:
    """As moby's jsonmessage for a terminal whose width it does not know."""
    if total <= 0:
        return f"{format_bytes(current):>8}"
    filled = min(int(current / total * 100) // 2, _BAR)
    numbers = f"{format_bytes(current):>8}"
    if current <= total:
        numbers += f"/{format_bytes(total)}"
    return f"[{'=' * filled}>{' ' * (_BAR - filled)}] {numbers}"
