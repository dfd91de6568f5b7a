"""Query parameters in Docker's notations. Pure."""

from decimal import Decimal, InvalidOperation

from argosy.api.http import Request
from argosy.errors import InvalidParameter
from argosy.image.goformat import parse_moment
from argosy.units import NANOSECONDS

_DEFAULT_DETACH_KEYS = b"\x10\x11"


def detach_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or single characters. Raises InvalidParameter."""
    if not text:
        return _DEFAULT_DETACH_KEYS
    keys = bytearray()
    for word in text.split(","):
        if len(word) == 1:
            keys += word.encode()
            continue
        prefix, _, key = word.partition("-")
        if prefix != "ctrl" or len(key) != 1 or not ("a" <= key <= "z" or key in "@[\\]^_"):
            raise InvalidParameter(f"Invalid detach keys ({text}) provided")
        keys.append(ord(key.upper()) - 64)
    return bytes(keys)


def size(request: Request) -> tuple[int, int]:
    """(height, width) of a terminal. Raises InvalidParameter."""
    found = []
    for name in ("h", "w"):
        value = request.number(name)
        if value is None or not 0 <= value < 65536:
            raise InvalidParameter(
                f"invalid resize {'height' if name == 'h' else 'width'} {request.query.get(name)!r}"
            )
        found.append(value)
    return found[0], found[1]


def tail(text: str) -> int:
    """Lines, -1 for all: what is not a number means all, as in moby."""
    return int(text) if text.isdecimal() else -1


def moment(request: Request, name: str) -> int:
    """Unix seconds with an optional fraction, in nanoseconds; 0 for none. Raises InvalidParameter."""
    text = request.query.get(name, "")
    if text in ("", "0"):
        return 0
    try:
        return int(Decimal(text) * NANOSECONDS)
    except (InvalidOperation, ValueError, OverflowError):
        raise InvalidParameter(f"invalid value for {name}: {text!r} is not a Unix time") from None


def until_filter(filters: dict[str, list[str]], now: int) -> int | None:
    """Raises InvalidParameter."""
    values = filters.get("until", [])
    if len(values) > 1:
        raise InvalidParameter("invalid filter 'until': more than one until filter specified")
    return parse_moment(values[0], now) if values else None
