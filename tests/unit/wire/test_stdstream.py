"""Frames of stdout and stderr, put together and taken apart."""

import random

from argosy.wire.stdstream import STDERR, STDOUT, Unframer, frame


def test_frames_are_taken_apart_however_they_come() -> None:
    seed = random.Random(1)
    payloads = [b"", b"a", b"b" * 1000, b"c" * 8]
    data = b"".join(frame(seed.choice((STDOUT, STDERR)), payload) for payload in payloads)
    for _ in range(50):
        unframer, found, rest = Unframer(), b"", data
        while rest:
            cut = seed.randint(1, 12)
            found += b"".join(unframer.feed(rest[:cut]))
            rest = rest[cut:]
        assert found == b"".join(payloads)
