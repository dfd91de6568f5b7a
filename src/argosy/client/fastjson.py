"""JSON without the `json` package, whose import costs more than most commands' own work.

The C scanner and encoder behind it are used directly. They are private to CPython; where they are missing
or have changed their shape, the package itself takes over.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_WHITESPACE = " \t\n\r"


class _ScannerSettings:
    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _package_codec() -> tuple[Callable[[str, int], tuple[Any, int]], Callable[[Any], str]]:
    import json

    decode = json.JSONDecoder(strict=False).raw_decode
    return decode, json.JSONEncoder(separators=(",", ":")).encode


def _codec() -> tuple[Callable[[str, int], tuple[Any, int]], Callable[[Any], str]]:
    try:
        import _json

        scan = _json.make_scanner(_ScannerSettings)  # type: ignore[arg-type]
        write: Any = _json.make_encoder(
            None, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, True
        )

        def encode(value: object) -> str:
            return "".join(write(value, 0))

        if encode({"a": [1]}) != '{"a":[1]}' or scan("[1]", 0) != ([1], 3):
            return _package_codec()
    except (ImportError, AttributeError, TypeError):
        return _package_codec()
    return scan, encode


_scan, _encode = _codec()


def dumps(value: object) -> bytes:
    return _encode(value).encode()


def loads(text: str | bytes) -> Any:
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(_WHITESPACE))
    try:
        value, end = _scan(text, start)
    except StopIteration as stop:
        raise ValueError(f"expected a JSON value at character {stop.value}") from None
    if text[end:].strip(_WHITESPACE):
        raise ValueError(f"unexpected text after the JSON value at character {end}")
    return value


def scan(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start` and where it ends. Raises ValueError when it is cut short."""
    try:
        return _scan(text, start)
    except StopIteration:
        raise ValueError("the JSON value is incomplete") from None
