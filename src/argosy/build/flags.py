"""`--name=value` before the arguments of an instruction, and the values that Go's library would parse."""

import re
from collections.abc import Collection, Sequence

from argosy.build.complain import DockerfileError, did_you_mean
from argosy.build.words import quoted

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_MINIMUM_INTERVAL = 1_000_000
_LONGEST_DURATION = 1 << 63
_NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")


class Flags:
    """What was given, checked against what the instruction knows."""

    def __init__(
        self,
        given: Sequence[str],
        *,
        text: Collection[str] = (),
        many: Collection[str] = (),
        switches: Collection[str] = (),
    ) -> None:
        """Raises DockerfileError for a flag of another name or form."""
        self._values: dict[str, list[str]] = {}
        known = {*text, *many, *switches}
        for flag in given:
            name, equals, value = flag.removeprefix("--").partition("=")
            if name not in known:
                raise DockerfileError(f"unknown flag: --{name}{did_you_mean(name, known)}")
            if name in self._values and name not in many:
                raise DockerfileError(f"duplicate flag specified: --{name}")
            self._values.setdefault(name, []).append(
                _switch(name, equals, value) if name in switches else _text(name, equals, value)
            )

    def text(self, name: str) -> str:
        return self._values.get(name, [""])[0]

    def many(self, name: str) -> tuple[str, ...]:
        return tuple(self._values.get(name, ()))

    def switch(self, name: str) -> bool:
        return self.text(name) == "true"

    def given(self, name: str) -> bool:
        return name in self._values

    def interval(self, name: str) -> int:
        """Nanoseconds; 0 if absent."""
        text = self.text(name)
        value = duration(text) if text else 0
        if value and value < _MINIMUM_INTERVAL:
            raise DockerfileError(f"Interval {quoted(name)} cannot be less than 1ms")
        return value


def _text(name: str, equals: str, value: str) -> str:
    if not equals:
        raise DockerfileError(f"missing a value on flag: --{name}", hint=f"Write it as --{name}=…")
    return value


def _switch(name: str, equals: str, value: str) -> str:
    if equals and not value:
        raise DockerfileError(f"missing a value on flag: --{name}")
    if value.lower() not in ("", "true", "false"):
        raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}")
    return value.lower() or "true"


def boolean(text: str) -> bool | None:
    """None if Go would not take it for one."""
    return True if text in _TRUE else False if text in _FALSE else None


def integer(text: str) -> int:
    """Of 32 bits. Raises DockerfileError."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise DockerfileError(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    if len(text) > 20 or not -(1 << 31) <= int(text) < 1 << 31:
        raise DockerfileError(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    return int(text)


def duration(text: str) -> int:
    """Go's `1h30m`, `1.5s`, in nanoseconds. Raises DockerfileError."""
    unsigned = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if unsigned == "0":
        return 0
    invalid = DockerfileError(f"time: invalid duration {quoted(text)}")
    total, position = 0, 0
    while position < len(unsigned) or not unsigned:
        match = _DURATION_PART.match(unsigned, position)
        if match is None or not (match[1] or match[2]) or len(match[1]) > 19:
            raise invalid
        if not match[3]:
            raise DockerfileError(f"time: missing unit in duration {quoted(text)}")
        if match[3] not in _NANOSECONDS:
            raise DockerfileError(f"time: unknown unit {quoted(match[3])} in duration {quoted(text)}")
        fraction = (match[2] or "0")[:18]
        total += int(match[1] or 0) * _NANOSECONDS[match[3]]
        total += int(fraction) * _NANOSECONDS[match[3]] // 10 ** len(fraction)
        position = match.end()
    if total >= _LONGEST_DURATION:
        raise invalid
    return -total if text.startswith("-") else total
