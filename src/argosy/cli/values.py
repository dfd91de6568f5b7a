"""Kinds of option values, with the error texts of Go's strconv and of Docker's own option types."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

NANOSECONDS = 1_000_000_000
_BINARY = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3600 * NANOSECONDS,
}
_INT_BASES = {"0x": 16, "0o": 8, "0b": 2}


def parse_int(text: str) -> int:
    bits = 64
    digits = text.lstrip("+-")
    base = _INT_BASES.get(digits[:2].lower(), 10)
    try:
        if text != text.strip():
            raise ValueError
        value = int(text, base)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def parse_uint16(text: str) -> int:
    if not text.isdecimal() or not text.isascii():
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 0xFFFF:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def parse_size(text: str) -> int:
    """go-units' RAMInBytes: `64m`, `1.5GiB`; binary in any spelling."""
    end = max((text.rfind(digit) for digit in "0123456789. "), default=-1)
    if end == -1:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = text[: end + 1], text[end + 1 :]
    if number.endswith(" "):
        number = number[:-1]
    try:
        if number != number.strip():
            raise ValueError
        size = float(number)
    except ValueError:
        raise ValueError(f"invalid size: '{text}'") from None
    if size < 0:
        raise ValueError(f"invalid size: '{text}'")
    if not suffix:
        return int(size)
    unit = suffix.lower()
    if unit[0] not in _BINARY or unit[1:] not in (("", "b", "ib") if unit[0] != "b" else ("",)):
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(size * _BINARY[unit[0]])


def parse_swap(text: str) -> int:
    return -1 if text == "-1" else parse_size(text)


def parse_decimal(text: str) -> int:
    """A number of CPUs → its billionths."""
    from fractions import Fraction

    try:
        nanos = Fraction(text) * NANOSECONDS
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"failed to parse {text} as a rational number") from None
    if nanos.denominator != 1:
        raise ValueError("value is too precise")
    return int(nanos)


def parse_duration(text: str) -> int:
    """Go's `1h30m`, `1.5s`, `300ms` → nanoseconds."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = 0.0
    while rest:
        length = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:length], rest[length:]
        if not number.strip(".") or number.count(".") > 1:
            raise ValueError(f'time: invalid duration "{text}"')
        length = next((place for place, sign in enumerate(rest) if sign in "0123456789."), len(rest))
        unit, rest = rest[:length], rest[length:]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        whole, _, fraction = number.partition(".")
        total += int(whole or 0) * _UNITS[unit]
        total += int(fraction or 0) * _UNITS[unit] / 10 ** len(fraction)
    return -int(total) if text.startswith("-") else int(total)


def parse_filter(text: str) -> str:
    if text and "=" not in text:
        raise ValueError("bad format of filter (expected name=value)")
    return text


def split_fields(text: str) -> list[str]:
    """Comma-separated fields, which may be quoted as in CSV. Raises ValueError."""
    if not text:
        return []
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text]), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """pflag's stringToString: `a=b,c=d`."""
    found = []
    for field in split_fields(text) or [""]:
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"{field} must be formatted as key=value")
        found.append((key, value))
    return found


def parse_variable(text: str) -> str:
    if not text or text.startswith("="):
        raise ValueError(f"invalid environment variable: {text}")
    return text


def parse_label(text: str) -> str:
    if not text.partition("=")[0]:
        raise ValueError(f"invalid label '{text}': empty name")
    if any(sign in "\t\n\v\f\r " for sign in text.partition("=")[0]):
        raise ValueError(f"label '{text.partition('=')[0]}' contains whitespaces")
    return text


def parse_domain(text: str) -> str:
    """A search domain; `.` is none."""
    wanted = text.strip()
    if wanted == ".":
        return wanted
    import re

    part = "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
    if len(wanted) >= 255 or not re.fullmatch(rf"{part}(\.{part})*\.?", wanted):
        raise ValueError(f"{text} is not a valid domain")
    return wanted.removesuffix(".")


def parse_link(text: str) -> str:
    if text.count(":") > 1:
        raise ValueError(f"bad format for links: {text}")
    if not text:
        raise ValueError("empty string specified for links")
    return text


def parse_stream(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise ValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def parse_address(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise ValueError(f"IP address is not correctly formatted: {text}") from None


def parse_host(text: str) -> str:
    """`host:ip` or `host=ip` → the former."""
    import ipaddress

    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not separator or not name:
        raise ValueError(f'bad format for add-host: "{text}"')
    if address != "host-gateway":
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f'invalid IP address in add-host: "{address}"') from None
    return f"{name}:{address}"


_SYSCTLS = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni"
    " kernel.shm_rmid_forced".split()
)


def parse_sysctl(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise ValueError(f"sysctl '{text}' is not allowed")
    return text


_ULIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending"
    " stack".split()
)


def parse_ulimit(text: str) -> dict[str, Any]:
    """`nofile=10:20` → soft 10, hard 20; one number stands for both."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    soft_text, colon, hard_text = limits.partition(":")
    if ":" in hard_text:
        raise ValueError(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    soft = parse_int(soft_text)
    hard = parse_int(hard_text) if colon else soft
    if hard != -1 and (soft > hard or soft == -1):
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}


def parse_mount(text: str) -> dict[str, Any]:
    from argosy.cli.container.mounts import parse_mount

    return parse_mount(text)


def parse_network(text: str) -> dict[str, Any]:
    from argosy.cli.container.networks import parse_network

    return parse_network(text)


def _of_devices(name: str) -> Callable[[str], Any]:
    def parse_device_value(text: str) -> Any:
        from argosy.cli.container import devices

        return getattr(devices, name)(text)

    return parse_device_value


def as_given(text: str) -> str:
    return text


def parse(kind: str, text: str) -> Any:
    """The value of an option of this kind. Raises ValueError with Docker's text."""
    return _PARSERS[kind](text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "address": parse_address,
    "bps": _of_devices("parse_bps"),
    "bytes": parse_size,
    "decimal": parse_decimal,
    "device-rule": _of_devices("parse_rule"),
    "domain": parse_domain,
    "duration": parse_duration,
    "filter": parse_filter,
    "gpus": _of_devices("parse_gpus"),
    "host": parse_host,
    "int": parse_int,
    "iops": _of_devices("parse_iops"),
    "label": parse_label,
    "link": parse_link,
    "map": as_given,
    "mount": parse_mount,
    "network": parse_network,
    "pairs": parse_pairs,
    "stream": parse_stream,
    "strings": split_fields,
    "swap": parse_swap,
    "sysctl": parse_sysctl,
    "uint16": parse_uint16,
    "ulimit": parse_ulimit,
    "variable": parse_variable,
    "weight": _of_devices("parse_weight"),
}


def mapping(pairs: list[str]) -> dict[str, str]:
    """`k=v` and `k` of labels and driver options; the last one of a key wins."""
    result = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        result[key] = value
    return result


def filters(pairs: list[str]) -> dict[str, dict[str, bool]]:
    """`--filter name=value` → the `filters` query parameter."""
    result: dict[str, dict[str, bool]] = {}
    for pair in pairs:
        if pair:
            key, _, value = pair.partition("=")
            result.setdefault(key.strip().lower(), {})[value.strip()] = True
    return result
