"""Wildcards in the sources of COPY and ADD: Go's filepath.Match.

`*` and `?` stop at a slash; `[a-z]` and `[^a-z]` are one character; a backslash makes the next one plain.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from argosy.build.complain import DockerfileError

_MAGIC = re.compile(r"[*?\[\\]")


class Token(NamedTuple):
    """A character, a `?`, a class or a star, and the regular expression for it."""

    kind: str
    expression: str


class Wildcard:
    def __init__(self, pattern: str) -> None:
        """Raises DockerfileError if the pattern is malformed."""
        self.pattern = pattern
        self._regex = re.compile(joined(list(tokens(pattern))) + r"\Z", re.DOTALL)

    def matches(self, path: str) -> bool:
        return self._regex.match(path) is not None


def has_wildcards(text: str) -> bool:
    return _MAGIC.search(text) is not None


def tokens(pattern: str) -> Iterator[Token]:
    """Raises DockerfileError if the pattern is malformed. Two stars in a row are two tokens."""
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            yield Token("*", "[^/]*")
        elif character == "?":
            yield Token("?", "[^/]")
        elif character == "[":
            expression, position = _class(pattern, position)
            yield Token("[", expression)
        elif character == "\\":
            if position == len(pattern):
                raise malformed(pattern)
            yield Token("", re.escape(pattern[position]))
            position += 1
        else:
            yield Token("", re.escape(character))


def joined(parts: list[Token]) -> str:
    """Each piece between two stars is taken where it first fits: trying others can never help, and would
    take for ever with a hostile pattern."""
    pieces: list[str] = [""]
    for part in parts:
        if part.kind == "*":
            pieces.append("")
        else:
            pieces[-1] += part.expression
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle) + "[^/]*" + last


def malformed(pattern: str) -> DockerfileError:
    return DockerfileError(
        f"syntax error in pattern: {pattern}", hint="Put a backslash before a [ or \\ that stands for itself"
    )


def _class(pattern: str, position: int) -> tuple[str, int]:
    """The class that begins at `position`, after its bracket, and where it ends."""
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _class_character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _class_character(pattern, position + 1)
        ranges.append("" if low > high else f"{re.escape(low)}-{re.escape(high)}")
    position += 1
    body = "".join(ranges)
    if not body:  # only ranges like z-a, which hold nothing
        return ("." if negated else "(?!)"), position
    return f"[{'^' if negated else ''}{body}]", position


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character in ("", "-", "]"):
        raise malformed(pattern)
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
    if not character or position + 1 >= len(pattern):
        raise malformed(pattern)
    return character, position + 1
