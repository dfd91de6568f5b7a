"""The frames that carry stdout and stderr over one stream (Engine API, "Stream format" of attach).

A frame is the stream's number u8 (0 stdin, 1 stdout, 2 stderr), three zero bytes, the payload's length
u32 big-endian, and the payload.
"""

import struct

STDIN, STDOUT, STDERR = 0, 1, 2
HEADER = struct.Struct(">BxxxI")


def frame(stream: int, payload: bytes) -> bytes:
    return HEADER.pack(stream, len(payload)) + payload
