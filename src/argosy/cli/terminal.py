"""The user's terminal: raw mode and its size. The `tty` and `signal` modules cost too much to import."""

from __future__ import annotations

import fcntl
import os
import termios
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6
_WINDOW_SIZE = 8


class RawMode:
    """`with RawMode(fd)`: every key goes to the container; the terminal is restored whatever happens."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._saved: list[Any] | None = None

    def __enter__(self) -> RawMode:
        if self._descriptor < 0 or not os.isatty(self._descriptor):
            return self
        self._saved = termios.tcgetattr(self._descriptor)
        mode = termios.tcgetattr(self._descriptor)
        mode[_IFLAG] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        mode[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[_OFLAG] &= ~termios.OPOST
        mode[_CFLAG] = mode[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[_CC][termios.VMIN] = 1
        mode[_CC][termios.VTIME] = 0
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, mode)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saved is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)
            self._saved = None


def size(descriptor: int) -> tuple[int, int] | None:
    """Rows and columns, or None where it is no terminal or has no size."""
    try:
        data = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(_WINDOW_SIZE))
    except OSError:
        return None
    rows, columns = int.from_bytes(data[:2], byteorder), int.from_bytes(data[2:4], byteorder)
    return (rows, columns) if rows and columns else None
