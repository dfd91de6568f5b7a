"""Values of templates: how Go prints them, what it takes for true, and the functions that Docker offers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class FunctionError(Exception):
    pass


class Absent:
    """A value that is not there: it prints as `shown`, is false, and has nothing in it."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


NO_VALUE = Absent("<no value>")
_PORT_BINDING = {"HostIp", "HostPort"}


def show(value: Any) -> str:
    """Go's `%v`."""
    if isinstance(value, str):
        return value
    if isinstance(value, Absent):
        return value.shown
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, dict) and value.keys() == _PORT_BINDING:
        # Of a struct, not a map, in Go.
        return f"{{{value['HostIp']} {value['HostPort']}}}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(show(item) for item in value) + "]"
    return str(value)


def is_true(value: Any) -> bool:
    return bool(value)


def to_json(value: Any) -> str:
    """As Docker's `json`: compact. Maps keep the engine's order; a list's row is sorted, and has HTML's
    special signs escaped."""
    import json

    row = getattr(value, "kind", "").endswith("Context")
    text = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, sort_keys=row)
    for sign in "<>&\u2028\u2029" if row else "\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Absent):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not callable(item)}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _length(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value.encode() if isinstance(value, str) else value)
    if isinstance(value, (list, tuple, dict, Absent)):
        return len(value)
    raise FunctionError(f"error calling len: len of type {kind(value)}")


def kind(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string"}
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, (list, tuple)):
        return "[]interface {}"
    return names.get(type(value), "nil")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(str(key), NO_VALUE)
        elif isinstance(value, (list, tuple, str)):
            if isinstance(key, bool) or not isinstance(key, int):
                raise FunctionError(f"error calling index: cannot index slice/array with type {kind(key)}")
            if not 0 <= key < len(value):
                raise FunctionError(f"error calling index: index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        elif isinstance(value, Absent) or value is None:
            raise FunctionError("error calling index: index of untyped nil")
        else:
            raise FunctionError(f"error calling index: can't index item of type {kind(value)}")
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise FunctionError(f"error calling slice: can't slice item of type {kind(value)}")
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(value)
    for bound in (low, high):
        if not 0 <= bound <= len(value):
            raise FunctionError(f"error calling slice: index out of range: {bound}")
    if low > high:
        raise FunctionError(f"error calling slice: invalid slice index: {low} > {high}")
    return value[low:high]


def _comparable(left: Any, right: Any) -> None:
    numbers = (int, float)
    if isinstance(left, Absent) or isinstance(right, Absent) or left is None or right is None:
        return
    if type(left) is not type(right) and not (isinstance(left, numbers) and isinstance(right, numbers)):
        raise FunctionError(
            f"error calling eq: incompatible types for comparison: {kind(left)} and {kind(right)}"
        )


def _equal(first: Any, *others: Any) -> bool:
    for other in others:
        _comparable(first, other)
    return first in others


def _less(left: Any, right: Any) -> bool:
    _comparable(left, right)
    try:
        return bool(left < right)
    except TypeError:
        raise FunctionError("error calling lt: invalid type for comparison") from None


def _join(items: Any, separator: str) -> str:
    if isinstance(items, Absent) or items is None:
        return ""
    if not isinstance(items, (list, tuple)):
        raise FunctionError(f"wrong type for value; expected []string; got {kind(items)}")
    return separator.join(show(item) for item in items)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"wrong type for value; expected string; got {kind(value)}")
    return value


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in _text(text).split(" "))


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if _text(text) else text


def _truncate(text: str, length: int) -> str:
    return _text(text)[:length]


def _print(*values: Any) -> str:
    """Go's Sprint: a space only between two values neither of which is a string."""
    result = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            result += " "
        result += show(value)
    return result


def _printf(format: str, *values: Any) -> str:
    result, rest, position = [], list(values), 0
    while position < len(format):
        if format[position] != "%":
            result.append(format[position])
            position += 1
            continue
        end = position + 1
        while end < len(format) and format[end] in "+-# 0123456789.":
            end += 1
        verb, flags = format[end : end + 1], format[position + 1 : end]
        position = end + 1
        if verb == "%":
            result.append("%")
        elif not verb:
            result.append("%!(NOVERB)")
        elif not rest:
            result.append(f"%!{verb}(MISSING)")
        else:
            result.append(_verb(verb, flags, rest.pop(0)))
    if rest:
        result.append("%!(EXTRA " + ", ".join(f"{kind(item)}={show(item)}" for item in rest) + ")")
    return "".join(result)


def _verb(verb: str, flags: str, value: Any) -> str:
    if verb == "T":
        return f"%{flags}s" % kind(value)
    if verb in "sv" or (verb == "t" and isinstance(value, bool)):
        return f"%{flags.replace('#', '').replace('+', '')}s" % show(value)
    if verb == "q":
        from argosy.cli.container.rows import quote

        return f"%{flags}s" % quote(show(value))
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb in "dxXo" and number and isinstance(value, int):
        return f"%{flags}{verb}" % value
    if verb in "feEgG" and number:
        return f"%{flags}{verb}" % float(value)
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex()
    if verb == "c" and isinstance(value, int):
        return chr(value)
    return f"%!{verb}({kind(value)}={show(value)})"


def _escape(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(sign, sign) for sign in text)


_HTML = {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "'": "&#39;",
    '"': "&#34;",
    "\0": "\N{REPLACEMENT CHARACTER}",
}
_JS = {
    **{sign: f"\\u{ord(sign):04X}" for sign in map(chr, range(32))},
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


def _url_query(*values: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_print(*values), safe="~")


def _call(function: Any, *arguments: Any) -> Any:
    if not callable(function):
        raise FunctionError(f"error calling call: non-function of type {kind(function)}")
    return function(*arguments)


def _split(text: str, separator: str) -> list[str]:
    return _text(text).split(separator) if separator else list(_text(text))


# name → (function, fewest arguments, most or None)
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    "call": (_call, 1, None),
    "eq": (_equal, 2, None),
    "ge": (lambda left, right: not _less(left, right), 2, 2),
    "gt": (lambda left, right: _less(right, left), 2, 2),
    "html": (lambda *values: _escape(_print(*values), _HTML), 0, None),
    "index": (_index, 1, None),
    "js": (lambda *values: _escape(_print(*values), _JS), 0, None),
    "join": (_join, 2, 2),
    "json": (to_json, 1, 1),
    "le": (lambda left, right: not _less(right, left), 2, 2),
    "len": (_length, 1, 1),
    "lower": (lambda text: _text(text).lower(), 1, 1),
    "lt": (_less, 2, 2),
    "ne": (lambda left, right: not _equal(left, right), 2, 2),
    "not": (lambda value: not is_true(value), 1, 1),
    "pad": (_pad, 3, 3),
    "print": (_print, 0, None),
    "printf": (_printf, 1, None),
    "println": (lambda *values: " ".join(show(value) for value in values) + "\n", 0, None),
    "slice": (_slice, 1, 4),
    "split": (_split, 2, 2),
    "title": (_title, 1, 1),
    "truncate": (_truncate, 2, 2),
    "urlquery": (_url_query, 0, None),
    "upper": (lambda text: _text(text).upper(), 1, 1),
}
