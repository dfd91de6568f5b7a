"""A pull's or a push's messages: on a terminal one line a layer, updated in place; else plain lines."""

from __future__ import annotations

import os

from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO


def show(
    messages: Iterable[dict[str, Any]], output: TextIO, on_aux: Callable[[Any], None] | None = None
) -> None:
    """Print the messages as they come. Raises Failure with the engine's error."""
    lines: dict[str, int] = {}
    terminal = output.isatty()
    for message in messages:
        if message.get("error") or message.get("errorDetail"):
            detail = message.get("errorDetail") or {}
            raise Failure(str(detail.get("message") or message.get("error")), int(detail.get("code") or 1))
        if "aux" in message:
            if on_aux is not None:
                on_aux(message["aux"])
            continue
        moving = message.get("progressDetail") or {}
        identifier = message.get("id", "")
        if not identifier or not (moving or message.get("progress") or "status" in message):
            lines.clear()
        if not terminal:
            if not moving.get("total") and not moving.get("current"):
                output.write(_text(message, ""))
                output.flush()
            continue
        _place(output, lines, identifier, message)
    output.flush()


def _place(output: TextIO, lines: dict[str, int], identifier: str, message: dict[str, Any]) -> None:
    if not identifier or "progressDetail" not in message:
        lines.clear()
        output.write(_text(message, _bar(message)))
        output.flush()
        return
    if identifier not in lines:
        lines[identifier] = len(lines)
        output.write("\n")
    up = len(lines) - lines[identifier]
    output.write(f"\x1b[{up}A\x1b[2K\r{_text(message, _bar(message)).rstrip()}\r\x1b[{up}B")
    output.flush()


def _text(message: dict[str, Any], bar: str) -> str:
    if "stream" in message:
        return str(message["stream"])
    prefix = f"{message['id']}: " if message.get("id") else ""
    return f"{prefix}{message.get('status', '')}{' ' + bar if bar else ''}\n"


def _bar(message: dict[str, Any]) -> str:
    detail = message.get("progressDetail") or {}
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if current <= 0 and total <= 0:
        return ""
    from argosy.units import format_bytes

    if total <= 0:
        if detail.get("units"):
            return f"{current} {detail['units']}"
        return f"{format_bytes(current):>8}"
    width = 50 if _columns() > 110 else 0
    done = min(50, int(current / total * 50))
    bar = f"[{'=' * done}>{' ' * (50 - done)}] " if width else ""
    if width and done == 50:
        bar = f"[{'=' * 50}>] "
    numbers = f"{format_bytes(current):>8}"
    return f"{bar}{numbers}/{format_bytes(total)}" if current <= total else f"{bar}{numbers}"


def _columns() -> int:
    try:
        return os.get_terminal_size(1).columns
    except OSError:
        return 200
