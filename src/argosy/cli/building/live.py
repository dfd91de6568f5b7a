"""A build on a terminal: every step in one line, and what the running ones say last, redrawn in place."""

from __future__ import annotations

import threading
import time

from argosy.cli.building.display import Display, Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

_INTERVAL = 0.1
_LOG_LINES = 6
_MARGIN = 2
_BLUE, _RED, _FAINT, _PLAIN = "\x1b[34m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Live(Display):
    def __init__(self, output: TextIO, rows: int, columns: int) -> None:
        super().__init__(output)
        self._rows = max(rows - _MARGIN, 4)
        self._columns = max(columns, 20)
        self._drawn = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._clock.start()
        output.write(_HIDE_CURSOR)

    def show(self, event: dict[str, Any]) -> None:
        with self._lock:
            super().show(event)

    def close(self, *, done: bool) -> None:
        self._ending.set()
        self._clock.join()
        # All of it, once, to stay in the terminal's history.
        self._draw(self._lines(finished=True))
        self.output.write(_SHOW_CURSOR)
        for line in self.summary_of_warnings() if done else ():
            self.output.write(f"{line}\n")
        self.output.flush()

    def _tick(self) -> None:
        while not self._ending.wait(_INTERVAL):
            with self._lock:
                lines = self._lines(finished=False)
            self._draw(lines)

    def _draw(self, lines: list[str]) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self.output.write(f"{up}\r\x1b[J" + "".join(f"{line}\n" for line in lines))
        self.output.flush()
        self._drawn = len(lines)

    def _lines(self, *, finished: bool) -> list[str]:
        steps = list(self.steps.values())
        done = sum(not step.is_running for step in steps)
        seconds = time.monotonic() - self._began
        state = "FINISHED" if finished else f"({done}/{len(steps)})"
        head = self._fitted(f"[+] Building {seconds:.1f}s {state}", "", "")
        lines: list[str] = []
        for step in steps:
            lines.append(self._line(step))
            if step.is_running and not finished:
                lines += [f"{_FAINT}{self._cut(f' => => # {line}')}{_PLAIN}" for line in self._tail(step)]
        if not finished and len(lines) > self._rows - 1:
            lines = lines[len(lines) - self._rows + 1 :]
        return [head, *lines]

    def _line(self, step: Step) -> str:
        if step.error:
            return self._fitted(f" => ERROR {step.name}", f"{step.seconds():.1f}s", _RED)
        if step.cached:
            return self._fitted(f" => CACHED {step.name}", f"{step.seconds():.1f}s", _BLUE)
        return self._fitted(
            f" => {step.name}{self._counted(step)}",
            f"{step.seconds():.1f}s",
            "" if step.is_running else _BLUE,
        )

    @staticmethod
    def _counted(step: Step) -> str:
        current = sum(count[0] for count in step.counts.values())
        total = sum(count[1] for count in step.counts.values())
        if not current or not step.is_running:
            return ""
        from argosy.units import format_bytes

        return f" {format_bytes(current)}" + (f" / {format_bytes(total)}" if total else "")

    @staticmethod
    def _tail(step: Step) -> list[str]:
        return [_without_escapes(line.partition(" ")[2]) for line in step.log[-_LOG_LINES:]]

    def _fitted(self, text: str, right: str, colour: str) -> str:
        room = self._columns - len(right) - 1
        text = text.split("\n", 1)[0]
        text = text if len(text) <= room else f"{text[: room - 3]}..."
        line = f"{text:<{room}} {right}" if right else text
        return f"{colour}{line}{_PLAIN}" if colour else line

    def _cut(self, text: str) -> str:
        return text[: self._columns - 1]


def _without_escapes(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.", "", text).expandtabs()
