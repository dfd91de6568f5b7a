"""Frames of stdout and stderr, cut anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.client.stdstream import Demultiplexer
from argosy.errors import ArgosyError


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


class Sink:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def content(self) -> bytes:
        os.close(self.writer)
        parts = []
        while data := os.read(self.reader, 65536):
            parts.append(data)
        os.close(self.reader)
        return b"".join(parts)


frames = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=20)


@given(frames, st.lists(st.integers(1, 30), min_size=1))
def test_every_byte_reaches_its_descriptor_in_order(parts: list[tuple[int, bytes]], cuts: list[int]) -> None:
    out, err = Sink(), Sink()
    demultiplexer = Demultiplexer(out.writer, err.writer)
    wire = b"".join(frame(kind, payload) for kind, payload in parts)
    place = 0
    for turn in range(len(wire) + 1):
        piece = wire[place : place + cuts[turn % len(cuts)]]
        if not piece:
            break
        demultiplexer.feed(piece)
        place += len(piece)
    assert out.content() == b"".join(payload for kind, payload in parts if kind == 1)
    assert err.content() == b"".join(payload for kind, payload in parts if kind == 2)


def test_more_frames_than_one_system_call_takes(tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as file:
        Demultiplexer(file.fileno(), file.fileno()).feed(frame(1, b"x") * 5000)
    assert (tmp_path / "out").read_bytes() == b"x" * 5000


def test_the_engines_own_error_is_raised() -> None:
    demultiplexer = Demultiplexer(1, 2)
    with pytest.raises(ArgosyError, match="error from daemon in stream: it broke"):
        demultiplexer.feed(frame(3, b"it broke"))


def test_an_unknown_stream_is_an_error() -> None:
    with pytest.raises(ArgosyError, match="Unrecognized input header: 72"):
        Demultiplexer(1, 2).feed(b"HTTP/1.1 200 OK")
