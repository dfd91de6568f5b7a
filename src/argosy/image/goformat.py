"""Times and patterns as Go's standard library reads them."""

import re
from datetime import UTC, datetime

from argosy.errors import InvalidParameter

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))\Z"
)
_PARTIAL = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?(Z|[+-]\d\d:\d\d)?\Z"
)
_TIMESTAMP = re.compile(r"(-?\d+)(?:\.(\d{1,9}))?\Z")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6,
    "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip


def parse_time(text: str | None) -> int:
    """RFC 3339 → nanoseconds since 1970; 0 for none or Go's zero time, or what is no time at all."""
    match = _RFC3339.match(text or "")
    if match is None:
        return 0
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return 0
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) + (second == 60)
    if match[9]:
        offset = int(match[10]) * 3600 + int(match[11]) * 60
        seconds += -offset if match[9] == "+" else offset
    nanoseconds = int(((match[7] or "") + "000000000")[:9])
    return max(seconds * 10**9 + nanoseconds, 0)


def parse_duration(text: str) -> int:
    """Go's time.ParseDuration → nanoseconds. Raises ValueError."""
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    position = 0
    total = 0.0
    while position < len(body):
        match = _DURATION.match(body, position)
        if match is None:
            break
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not body or position < len(body):
        raise ValueError(f"time: invalid duration {text!r}")
    return int(-total if text.startswith("-") else total)


def parse_moment(text: str, now: int) -> int:
    """Docker's `until`: a timestamp, a date with or without time and zone (the machine's zone if without),
    or how long ago. Raises InvalidParameter."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    if match := _TIMESTAMP.match(text):
        return int(match[1]) * 10**9 + int(((match[2] or "") + "000000000")[:9])
    if match := _PARTIAL.match(text):
        date, hour, minute, second, fraction, zone = match.groups()
        written = (
            f"{date}T{hour or '00'}:{minute or '00'}:{second or '00'}{(zone or '').replace('Z', '+00:00')}"
        )
        try:
            moment = datetime.fromisoformat(written).astimezone(UTC)
        except ValueError:
            pass
        else:
            return int(moment.timestamp()) * 10**9 + int(((fraction or "") + "000000000")[:9])
    raise InvalidParameter(f'failed to parse value as time or duration: "{text}"')


def path_match(pattern: str, name: str) -> bool:
    """Go's path.Match: `*` and `?` do not match a slash. Raises InvalidParameter for a bad pattern."""
    return re.fullmatch(_translated(pattern), name, re.DOTALL) is not None


def _translated(pattern: str) -> str:
    result = ""
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            result += "[^/]*"
        elif character == "?":
            result += "[^/]"
        elif character == "[":
            text, position = _translated_class(pattern, position)
            result += text
        else:
            if character == "\\":
                character, position = _escaped(pattern, position)
            result += re.escape(character)
    return result


def _translated_class(pattern: str, position: int) -> tuple[str, int]:
    negated = pattern[position : position + 1] == "^"
    position += negated
    ranges: list[tuple[str, str]] = []
    while not ranges or pattern[position : position + 1] != "]":
        low, position = _class_character(pattern, position)
        high = low
        if pattern[position : position + 1] == "-":
            high, position = _class_character(pattern, position + 1)
        ranges.append((low, high))
    # A range that ends before it begins matches nothing, and is not an error in Go.
    inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges if low <= high)
    if not inside:
        return ("[^/]" if negated else r"(?!)"), position + 1
    return f"[{'^' if negated else ''}{inside}]", position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character in ("", "-", "]"):
        raise InvalidParameter("syntax error in pattern")
    return _escaped(pattern, position + 1) if character == "\\" else (character, position + 1)


def _escaped(pattern: str, position: int) -> tuple[str, int]:
    if position >= len(pattern):
        raise InvalidParameter("syntax error in pattern")
    return pattern[position], position + 1
