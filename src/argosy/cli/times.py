"""Points in time as users give them (`10m`, `2026-01-02T15:04:05`, Unix seconds), for the API."""

from __future__ import annotations

import time

from argosy.cli.failure import Failure

_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def timestamp(text: str, what: str) -> str:
    """Unix seconds with a fraction; a duration counts back from now. Empty stays empty."""
    if not text:
        return ""
    from argosy.cli.values import parse_duration

    try:
        return _seconds(time.time_ns() - parse_duration(text))
    except ValueError:
        pass
    whole, _, fraction = text.partition(".")
    if whole.lstrip("-").isdigit() and (not fraction or fraction.isdigit()):
        return text
    try:
        return _parsed(text)
    except ValueError:
        raise Failure(
            f'invalid value for "{what}": failed to parse value as time or duration: "{text}"'
        ) from None


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}"


def _parsed(text: str) -> str:
    """Without a zone it is the client's local time."""
    from datetime import datetime

    digits = ""
    head, dot, tail = text.partition(".")
    if dot:
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        text = head + tail[len(digits) :]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        for pattern in _FORMATS:
            try:
                moment = datetime.strptime(text, pattern)
            except ValueError:
                continue
            break
        else:
            raise
    return f"{int(moment.timestamp())}.{digits.ljust(9, '0')[:9]}"


def unix_seconds(text: str) -> float:
    """Of a time as the engine writes it, RFC 3339 in UTC."""
    from datetime import datetime

    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
