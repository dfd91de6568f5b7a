"""Tar archives to and from files, stdin and stdout."""

from __future__ import annotations

import os
import stat
import sys

from argosy.cli.failure import Failure
from argosy.client.transport import Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

_SIZE = 1 << 20


def check_output(path: str, purpose: str) -> None:
    """Before anything is asked of the engine: a terminal is no place for an archive. Raises Failure."""
    if not path:
        if sys.stdout.isatty():
            raise Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        return
    folder = os.path.dirname(path) or "."
    try:
        os.stat(os.path.join(folder, "."))
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Failure(f"failed to {purpose}: invalid output path: stat {folder}: {reason}") from None
    if os.path.isdir(path):
        raise Failure(f"failed to {purpose}: cannot write to a directory")


def write_output(path: str, pieces: Iterable[bytes]) -> None:
    """To stdout, or to a file that appears whole or not at all."""
    if not path:
        from argosy.client.stdstream import write_all

        for piece in pieces:
            write_all(1, [memoryview(piece)])
        return
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.writelines(pieces)
        return
    temporary = os.path.join(os.path.dirname(path), f".tmp-{os.path.basename(path)}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.writelines(pieces)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def read_input(path: str) -> Upload | Iterator[bytes]:
    """A file's content, or stdin's for an empty path, as a request's body."""
    if not path:
        return read_stdin()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or '').lower()}") from None
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise Failure(f"read {path}: is a directory")
    if stat.S_ISREG(status.st_mode):
        return Upload(descriptor, status.st_size)
    return _pieces(os.fdopen(descriptor, "rb"))


def read_stdin() -> Iterator[bytes]:
    return _pieces(sys.stdin.buffer)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while data := file.read(_SIZE):
            yield data
