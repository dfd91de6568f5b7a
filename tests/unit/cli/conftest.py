"""Descriptors 0, 1 and 2 as pipes, for as long as `with` lasts: a session reads and writes them directly."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


class Standard:
    def __init__(self) -> None:
        reader, self.stdin = os.pipe()
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        self._inner = [reader, out, err]
        self._saved: list[int] = []

    def __enter__(self) -> Standard:
        self._saved = [os.dup(number) for number in range(3)]
        for number, end in enumerate(self._inner):
            os.dup2(end, number)
        return self

    def __exit__(self, *error: object) -> None:
        for number, saved in enumerate(self._saved):
            os.dup2(saved, number)
            os.close(saved)

    def end_input(self) -> None:
        os.close(self.stdin)
        self.stdin = -1

    def close(self) -> None:
        for descriptor in (self.stdin, self.stdout, self.stderr, *self._inner):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def standard() -> Iterator[Standard]:
    pipes = Standard()
    yield pipes
    pipes.close()
