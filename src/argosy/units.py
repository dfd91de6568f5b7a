"""Sizes, durations and times, parsed and printed as Docker does."""

import re
from datetime import UTC, datetime

NANOSECONDS = 1_000_000_000

# Docker's `go-units`: a size given as 64m is binary, a size printed as 64MB is decimal.
_SIZE = re.compile(r"([0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+) *(?:b|([kmgtp])(?:i?b)?)?")
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def parse_bytes(text: str) -> int:
    """`64m`, `1.5GiB`, `4096` → bytes, binary prefixes. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"invalid size: '{text}'")
    return int(float(match[1]) * _BINARY[match[2] or ""])


def format_bytes(size: float, precision: int = 4) -> str:
    """Decimal prefixes and `precision` significant digits: 1234567 → `1.235MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            return f"{size:.{precision}g}{unit}"
        size /= 1000
    raise AssertionError("unreachable")


def format_binary(size: float, precision: int = 4) -> str:
    """Binary prefixes: 1048576 → `1MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024 or unit == "PiB":
            return f"{size:.{precision}g}{unit}"
        size /= 1024
    raise AssertionError("unreachable")


def human_duration(seconds: float) -> str:
    """Docker's rounding: `Less than a second`, `5 seconds`, `About a minute`, `3 hours`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds // 3600) // 24 // 365} years"


def rfc3339(nanoseconds: int) -> str:
    """Unix time in nanoseconds → `2026-01-02T03:04:05.123456789Z`, trailing zeros dropped as Go does."""
    if nanoseconds <= 0:
        return "0001-01-01T00:00:00Z"
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    base = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{base}.{digits}Z" if digits else f"{base}Z"


def rfc3339_fixed(nanoseconds: int) -> str:
    """As `rfc3339`, always nine digits: the form of `docker logs --timestamps`."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    base = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{base}.{fraction:09d}Z"
