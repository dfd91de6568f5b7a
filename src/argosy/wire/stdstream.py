"""The frames that carry stdout and stderr over one stream (Engine API, "Stream format" of attach).

A frame is the stream's number u8 (0 stdin, 1 stdout, 2 stderr), three zero bytes, the payload's length
u32 big-endian, and the payload.
"""

import struct

STDIN, STDOUT, STDERR = 0, 1, 2
HEADER = struct.Struct(">BxxxI")


def frame(stream: int, payload: bytes) -> bytes:
    return HEADER.pack(stream, len(payload)) + payload


class Unframer:
    """Takes frames apart, however they are cut into pieces."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads in it, both streams' alike."""
        found = []
        while data:
            if not self._left:
                missing = HEADER.size - len(self._head)
                self._head += data[:missing]
                data = data[missing:]
                if len(self._head) == HEADER.size:
                    self._left = HEADER.unpack(self._head)[1]
                    self._head = b""
                continue
            payload = data[: self._left]
            found.append(payload)
            self._left -= len(payload)
            data = data[len(payload) :]
        return found
