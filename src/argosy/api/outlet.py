"""What threads have to say to a client: gathered while it is on its way, and never more than fits."""

import asyncio
import threading

from argosy.api.body import Gone
from argosy.api.http import Stream

_MOST = 4 << 20


class Outlet:
    """Any thread writes; the event loop's `drain` sends, many pieces at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._pieces: list[bytes] = []
        self._size = 0
        self._closed = False
        self._gone = False
        self._arrival = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Waits while too much is on its way. Raises Gone."""
        with self._changed:
            while self._size > _MOST and not self._gone:
                self._changed.wait()
            if self._gone:
                raise Gone
            self._pieces.append(data)
            self._size += len(data)
            first = len(self._pieces) == 1
        if first:
            self._wake()

    def close(self) -> None:
        """Nothing more is written."""
        with self._changed:
            self._closed = True
        self._wake()

    async def drain(self, stream: Stream) -> None:
        """Send all of it, until it is closed. Raises Gone; from then on writers get the same."""
        try:
            while True:
                with self._changed:
                    pieces, self._pieces, self._size = self._pieces, [], 0
                    closed = self._closed
                    self._changed.notify_all()
                if pieces:
                    await stream.write(b"".join(pieces))
                elif closed:
                    return
                else:
                    await self._arrival.wait()
                    self._arrival.clear()
        finally:
            with self._changed:
                self._gone = True
                self._changed.notify_all()

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._arrival.set)
