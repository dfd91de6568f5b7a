"""JSON that somebody else wrote, as one of `spec`'s structs."""

from typing import TypeVar

import msgspec

from argosy.errors import InvalidParameter

_T = TypeVar("_T")


def decode_document(data: bytes, kind: type[_T], what: str) -> _T:
    """Raises InvalidParameter, for nesting that no document needs, too."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParameter(f"invalid {what}: {error}") from None
