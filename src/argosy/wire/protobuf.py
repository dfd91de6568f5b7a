"""Protocol buffers (encoding.md of protobuf.dev) for messages that are declared as structs.

A field is `name: Annotated[TYPE, NUMBER] = DEFAULT`, where TYPE is str, bytes, int, bool, a message or None,
a list of one of these, or a dict, which is a map. Integers are varints, taken as signed 64 bit; fixed-size
numbers do not occur here. Fields that are not declared are skipped, and defaults are not sent.
"""

import functools
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAXIMUM_DEPTH = 32
_Append = Callable[[bytearray, Any], None]
_Take = Callable[[bytes, int, int], tuple[Any, int]]


class MalformedMessage(ValueError):
    """These bytes are no message of the kind that is wanted."""


class _Field(typing.NamedTuple):
    """`take` reads a value of wire type `wire`: one of a list if `repeated`, of a map if `mapped`."""

    name: str
    key: bytes
    wire: int
    append: _Append
    take: _Take
    repeated: bool
    mapped: bool


def encode(message: msgspec.Struct) -> bytes:
    data = bytearray()
    _encode_into(data, message)
    return bytes(data)


def decode(kind: type[T], data: bytes) -> T:
    """Raises MalformedMessage."""
    try:
        return _decode(kind, data, 0)
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"{kind.__name__}: {error}") from None


def _encode_into(data: bytearray, message: msgspec.Struct) -> None:
    for field in _fields(type(message)).values():
        value = getattr(message, field.name)
        if not value and value is not None and not isinstance(value, msgspec.Struct):
            continue
        if field.mapped:
            for item in value.items():
                data += field.key
                field.append(data, item)
        elif field.repeated:
            for item in value:
                data += field.key
                field.append(data, item)
        elif value is not None:
            data += field.key
            field.append(data, value)


def _decode(kind: type[T], data: bytes, depth: int) -> T:
    if depth > _MAXIMUM_DEPTH:
        raise MalformedMessage(f"{kind.__name__} is nested too deeply")
    fields = _fields(kind)
    values: dict[str, Any] = {}
    position, end = 0, len(data)
    while position < end:
        key, position = _take_varint(data, position)
        field = fields.get(key >> 3)
        if field is None or field.wire != key & 7:
            position = _skip(data, position, key & 7)
        else:
            value, position = field.take(data, position, depth)
            if field.mapped:
                values.setdefault(field.name, {})[value[0]] = value[1]
            elif field.repeated:
                values.setdefault(field.name, []).append(value)
            else:
                values[field.name] = value
    if position > end:
        raise MalformedMessage(f"{kind.__name__} is cut off")
    return kind(**values)


def _skip(data: bytes, position: int, wire: int) -> int:
    if wire == _VARINT:
        return _take_varint(data, position)[1]
    if wire == _BYTES:
        size, position = _take_varint(data, position)
        return position + size
    if wire == _FIXED64:
        return position + 8
    if wire == _FIXED32:
        return position + 4
    raise MalformedMessage(f"unknown wire type {wire}")


# Fields of a class, by their numbers


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> dict[int, _Field]:
    found = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        annotated, number = typing.get_args(hint)
        origin = typing.get_origin(annotated)
        mapped, repeated = origin is dict, origin is list
        arguments = typing.get_args(annotated)
        if mapped:
            wire, append, take = _map_entry(*arguments)
        else:
            wire, append, take = _scalar(arguments[0] if repeated else annotated)
        key = bytearray()
        _append_varint(key, number << 3 | wire)
        found[number] = _Field(name, bytes(key), wire, append, take, repeated, mapped)
    return found


def _scalar(kind: Any) -> tuple[int, _Append, _Take]:
    if isinstance(kind, types.UnionType):
        kind = typing.get_args(kind)[0]
    if kind is str:
        return _BYTES, _append_text, _take_text
    if kind is bytes:
        return _BYTES, _append_bytes, _take_bytes
    if kind is bool:
        return _VARINT, _append_varint, lambda data, position, depth: _as_bool(_take_varint(data, position))
    if kind is int:
        return _VARINT, _append_varint, lambda data, position, depth: _signed(_take_varint(data, position))
    return _BYTES, _append_message, functools.partial(_take_message, kind)


def _map_entry(key: Any, value: Any) -> tuple[int, _Append, _Take]:
    kinds = (("key", key, 1), ("value", value, 2))
    entry = msgspec.defstruct(
        "Entry",
        [
            (n, typing.Annotated[kind, number], msgspec.field(default_factory=kind))
            for n, kind, number in kinds
        ],
    )

    def append(data: bytearray, item: tuple[Any, Any]) -> None:
        _append_message(data, entry(*item))

    def take(data: bytes, position: int, depth: int) -> tuple[Any, int]:
        message, position = _take_message(entry, data, position, depth)
        return msgspec.structs.astuple(message), position

    return _BYTES, append, take


# Values


def _append_varint(data: bytearray, value: int) -> None:
    value &= (1 << 64) - 1
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)


def _take_varint(data: bytes, position: int) -> tuple[int, int]:
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    value, shift = 0, 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, position
        shift += 7
        if shift > 63:
            raise MalformedMessage("a number is too long")


def _signed(taken: tuple[int, int]) -> tuple[int, int]:
    value, position = taken
    return (value - (1 << 64) if value >> 63 else value), position


def _as_bool(taken: tuple[int, int]) -> tuple[bool, int]:
    return bool(taken[0]), taken[1]


def _append_bytes(data: bytearray, value: bytes) -> None:
    _append_varint(data, len(value))
    data += value


def _take_bytes(data: bytes, position: int, depth: int) -> tuple[bytes, int]:
    size, position = _take_varint(data, position)
    end = position + size
    if end > len(data):
        raise MalformedMessage("a field is cut off")
    return data[position:end], end


def _append_text(data: bytearray, value: str) -> None:
    # Names of files need not be UTF-8, and Go's clients send them as they are.
    _append_bytes(data, value.encode(errors="surrogateescape"))


def _take_text(data: bytes, position: int, depth: int) -> tuple[str, int]:
    value, position = _take_bytes(data, position, depth)
    return value.decode(errors="surrogateescape"), position


def _append_message(data: bytearray, value: msgspec.Struct) -> None:
    _append_bytes(data, encode(value))


def _take_message(kind: type[T], data: bytes, position: int, depth: int) -> tuple[T, int]:
    inner, position = _take_bytes(data, position, depth)
    return _decode(kind, inner, depth + 1), position
