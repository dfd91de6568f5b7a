"""The patterns inside `${VAR#pattern}` and its kin: `*` and `?`, and a backslash before either.

Matched piece by piece between the stars instead of by a regular expression with a `.*` for each, which
a hostile Dockerfile could make take years.
"""

import re
from typing import NamedTuple

from argosy.build.complain import DockerfileError


class _Pattern(NamedTuple):
    pieces: list[re.Pattern[str]]
    """What lies between the stars, one more than there are stars."""


def without_prefix(value: str, pattern: str, *, longest: bool) -> str:
    """Raises DockerfileError if the pattern is malformed."""
    end = _match(value, _compile(pattern), longest=longest)
    return value if end is None else value[end:]


def without_suffix(value: str, pattern: str, *, longest: bool) -> str:
    """Raises DockerfileError if the pattern is malformed."""
    end = _match(value[::-1], _compile(pattern, backwards=True), longest=longest)
    return value if end is None else value[: len(value) - end]


def replace(value: str, pattern: str, replacement: str, *, everywhere: bool, limit: int) -> str:
    """Raises DockerfileError if the pattern is malformed or the result longer than `limit`."""
    compiled = _compile(pattern)
    found = _occurrences(value, compiled, everywhere=everywhere)
    if len(value) + len(found) * len(replacement) > limit:
        raise DockerfileError("the expanded text is too long")
    result: list[str] = []
    position = 0
    for start, end in found:
        result += (value[position:start], replacement)
        position = end
    return "".join(result) + value[position:]


def _occurrences(value: str, pattern: _Pattern, *, everywhere: bool) -> list[tuple[int, int]]:
    first, *rest = pattern.pieces
    found: list[tuple[int, int]] = []
    position = 0
    while (start := first.search(value, position)) is not None:
        end = _follow(value, start.end(), rest, longest=True)
        if end is None:  # what lacks a continuation here lacks it further on, too
            break
        if not (found and start.start() == end == found[-1][1]):
            found.append((start.start(), end))
        if not everywhere:
            break
        position = end if end > start.start() else end + 1
        if position > len(value):
            break
    return found


def _match(value: str, pattern: _Pattern, *, longest: bool) -> int | None:
    """Where the match that begins at the beginning ends."""
    first, *rest = pattern.pieces
    start = first.match(value)
    return None if start is None else _follow(value, start.end(), rest, longest=longest)


def _follow(value: str, position: int, pieces: list[re.Pattern[str]], *, longest: bool) -> int | None:
    """Each piece at its earliest: if any choice succeeds, this one does. Only the last may be late."""
    if not pieces:
        return position
    *middle, last = pieces
    for piece in middle:
        match = piece.search(value, position)
        if match is None:
            return None
        position = match.end()
    if not last.pattern:
        return len(value) if longest else position
    if not longest:
        match = last.search(value, position)
        return None if match is None else match.end()
    return _last_end(value, position, last)


def _last_end(value: str, position: int, piece: re.Pattern[str]) -> int | None:
    size = _length(piece)
    for start in range(len(value) - size, position - 1, -1):
        if piece.match(value, start):
            return start + size
    return None


def _length(piece: re.Pattern[str]) -> int:
    return len(re.sub(r"\\(.)", r"\1", piece.pattern, flags=re.DOTALL))


def _compile(pattern: str, *, backwards: bool = False) -> _Pattern:
    pieces: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            pieces.append([])
            continue
        if character == "?":
            pieces[-1].append(".")
            continue
        if character == "\\":
            character = next(characters, "")
            if character not in ("*", "?", "\\", "}", "/"):
                raise DockerfileError(
                    f"invalid pattern ({pattern}) in substitution: invalid escape '\\{character}'"
                )
        pieces[-1].append("\\" + character if character in _SPECIAL else character)
    if backwards:
        pieces = [piece[::-1] for piece in reversed(pieces)]
    return _Pattern([re.compile("".join(piece), re.DOTALL) for piece in pieces])


_SPECIAL = frozenset("\\.^$*+?{}[]|()")
