"""Output of a container without a terminal: stdout and stderr in frames on one stream.

A frame is a header of eight bytes (which of the two, three zeros, the payload's length in network order) and
the payload. Frames and reads need not coincide. Payloads are written from where they were read, many to one
system call: 200 MB of output pass through here as quickly as through a pipe.
"""

from __future__ import annotations

import os

from argosy.errors import ArgosyError

HEADER_SIZE = 8
_IOV_MAX = 1024
STDIN, STDOUT, STDERR, SYSTEM_ERROR = range(4)


def write_all(descriptor: int, views: list[memoryview]) -> None:
    """Write every byte, on a descriptor that may be non-blocking."""
    while views:
        try:
            written = os.writev(descriptor, views[:_IOV_MAX])
        except BlockingIOError:
            import select

            select.select((), (descriptor,), ())
            continue
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


class Demultiplexer:
    """Feed it what arrives; it writes stdout's and stderr's bytes to their descriptors."""

    def __init__(self, stdout: int, stderr: int) -> None:
        self._descriptors = {STDIN: stdout, STDOUT: stdout, STDERR: stderr}
        self._head = b""
        self._kind = STDOUT
        self._remaining = 0
        self._complaint = b""

    def feed(self, data: bytes) -> None:
        view = memoryview(data)
        position, end = 0, len(data)
        pending: list[memoryview] = []
        while position < end:
            if not self._remaining:
                needed = HEADER_SIZE - len(self._head)
                self._head += data[position : position + needed]
                position += needed
                if len(self._head) < HEADER_SIZE:
                    break
                kind = self._head[0]
                if kind != self._kind:
                    self._flush(pending)
                self._kind = kind
                self._remaining = int.from_bytes(self._head[4:], "big")
                self._head = b""
                continue
            piece = view[position : position + self._remaining]
            pending.append(piece)
            position += len(piece)
            self._remaining -= len(piece)
        self._flush(pending)
        if self._kind == SYSTEM_ERROR and self._complaint and not self._remaining:
            raise ArgosyError(f"error from daemon in stream: {self._complaint.decode('utf-8', 'replace')}")

    def _flush(self, pending: list[memoryview]) -> None:
        if self._kind == SYSTEM_ERROR:
            self._complaint += b"".join(pending)
        elif self._kind in self._descriptors:
            write_all(self._descriptors[self._kind], pending)
        else:
            raise ArgosyError(f"Unrecognized input header: {self._kind}")
        pending.clear()
