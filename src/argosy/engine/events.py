"""The event stream: what happened, to whoever listens, and the last of it kept for `--since`."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from argosy.units import NANOSECONDS

# As moby's `eventsLimit`.
_KEPT = 256
# A listener that falls this far behind is cut off rather than fed for ever.
_BACKLOG = 4096


class Events:
    """Only the event loop's thread may call it."""

    def __init__(self) -> None:
        self._recent: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._listeners: set[asyncio.Queue[dict[str, Any] | None]] = set()

    def publish(self, kind: str, action: str, actor: str, attributes: dict[str, str]) -> None:
        now = time.time_ns()
        event: dict[str, Any] = {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": actor, "Attributes": attributes},
            "scope": "local",
            "time": now // NANOSECONDS,
            "timeNano": now,
        }
        if kind == "container":
            event = {"status": action, "id": actor, "from": attributes.get("image", ""), **event}
        elif kind == "image":
            event = {"status": action, "id": actor, **event}
        self._recent.append(event)
        for listener in list(self._listeners):
            if listener.qsize() >= _BACKLOG:
                self._listeners.discard(listener)
                listener.put_nowait(None)
            else:
                listener.put_nowait(event)

    def recent(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        return [event for event in self._recent if wanted(event)]

    def listen(self) -> "asyncio.Queue[dict[str, Any] | None]":
        """A queue of what happens from now on; None ends it. Give it back with `forget`."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._listeners.add(queue)
        return queue

    def forget(self, queue: "asyncio.Queue[dict[str, Any] | None]") -> None:
        self._listeners.discard(queue)
