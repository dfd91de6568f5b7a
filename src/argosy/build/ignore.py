"""The .dockerignore file and the patterns of COPY --exclude, as moby/patternmatcher takes them.

`*` and `?` stop at a slash, `**` does not; `!` brings back what an earlier pattern took away; the last
pattern that matches decides. Whatever matches a directory matches what is in it.

One thing looks odd and is Docker's: a pattern is not looked at while the question is already decided its
way, and what a directory matched is then handed down to what it holds. So in `dir`, `!dir/a`, `dir` the
third line changes nothing: `dir/a` comes back.
"""

import posixpath
import re
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from argosy.build.complain import DockerfileError
from argosy.build.dockerfile import SPACES
from argosy.build.wildcard import Token, joined, malformed, tokens

_MAXIMUM_STARS_IN_NAMES = 1
_NEVER = "(?!)"


class Pattern(NamedTuple):
    text: str
    """Cleaned, without the `!`."""
    is_exception: bool
    line: int
    written: str


def read(text: bytes | str) -> list[Pattern]:
    """The patterns of a .dockerignore file. Raises DockerfileError, with the line."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    patterns = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#") or not line.strip(SPACES):
            continue
        patterns.append(_pattern(line, number))
    return patterns


def patterns(texts: Iterable[str]) -> list[Pattern]:
    """Those of COPY --exclude. Raises DockerfileError."""
    return [_pattern(text, 0) for text in texts if text.strip(SPACES)]


class Ignore:
    """Paths are relative to the context, with slashes and without `.` or `..`."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        """Raises DockerfileError for a malformed pattern."""
        self.patterns = list(patterns)
        self.has_exceptions = any(pattern.is_exception for pattern in self.patterns)
        self._regexes = [re.compile(_expression(pattern), re.DOTALL) for pattern in self.patterns]
        self._runs = [
            (is_exception, re.compile("|".join(map(_expression, run)), re.DOTALL))
            for is_exception, run in groupby(self.patterns, lambda pattern: pattern.is_exception)
        ]
        self._directories: dict[str, tuple[bool, ...]] = {"": (False,) * len(self._runs)}
        self._exceptions = [_Reach(pattern) for pattern in self.patterns if pattern.is_exception]

    def excluded(self, path: str) -> bool:
        inherited = self._directory(path.rpartition("/")[0])
        verdict = False
        for (is_exception, regex), matched in zip(self._runs, inherited, strict=True):
            if matched or (is_exception == verdict and regex.match(path)):
                verdict = not is_exception
        return verdict

    def rule_for(self, path: str) -> Pattern | None:
        """The pattern that excludes the path, if it is excluded."""
        parts = path.split("/")
        matched = [False] * len(self.patterns)
        rule: Pattern | None = None
        for depth in range(1, len(parts) + 1):
            rule = self._rule("/".join(parts[:depth]), matched)
        return rule

    def may_skip_directory(self, path: str) -> bool:
        """Whether nothing in it can be in the context."""
        return self.excluded(path) and not any(reach.goes_into(path) for reach in self._exceptions)

    def _rule(self, path: str, matched: list[bool]) -> Pattern | None:
        """Updates what each pattern matched so far on the way down."""
        rule: Pattern | None = None
        for index, pattern in enumerate(self.patterns):
            if not matched[index] and pattern.is_exception == (rule is not None):
                matched[index] = self._regexes[index].match(path) is not None
            if matched[index]:
                rule = None if pattern.is_exception else rule or pattern
        return rule

    def _directory(self, path: str) -> tuple[bool, ...]:
        """Which runs of patterns match the directory or one above it."""
        known = self._directories.get(path)
        if known is not None:
            return known
        missing = []
        while path not in self._directories:
            missing.append(path)
            path = path.rpartition("/")[0]
        inherited = self._directories[path]
        for directory in reversed(missing):
            inherited = self._directories[directory] = self._matched(directory, inherited)
        return inherited

    def _matched(self, path: str, inherited: tuple[bool, ...]) -> tuple[bool, ...]:
        verdict = False
        matches = []
        for (is_exception, regex), matched in zip(self._runs, inherited, strict=True):
            match = matched or (is_exception == verdict and regex.match(path) is not None)
            matches.append(match)
            if match:
                verdict = not is_exception
        return tuple(matches)


def _pattern(line: str, number: int) -> Pattern:
    written = line.strip(SPACES)
    is_exception = written.startswith("!")
    text = written.removeprefix("!").strip(SPACES)
    if is_exception and not text.strip("/"):
        raise DockerfileError('illegal exclusion pattern: "!"', number, hint="Put a pattern after the !")
    text = _cleaned(text)
    text = _cleaned(
        (text.removeprefix("/") or "/").strip(SPACES)
    )  # x and / around a space, Docker goes twice
    pattern = Pattern(text, is_exception, number, written)
    try:
        list(tokens(pattern.text))
    except DockerfileError as error:
        raise error.at(number, number) from None
    return pattern


def _cleaned(path: str) -> str:
    """Go's filepath.Clean."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _expression(pattern: Pattern) -> str:
    """What a path is matched with from its beginning."""
    text = pattern.text
    if text in (".", "/") or text.startswith("../") or text == "..":
        return _NEVER
    parts = list(tokens(text))
    if text.startswith("**") and "\\" not in text and not any(part.kind for part in parts[2:]):
        return _ends_with(parts[2:])
    return _around_double_stars(pattern, parts)


def _ends_with(rest: list[Token]) -> str:
    """`**` and plain text: whatever ends so, and for `**/name` the name itself."""
    tail = "".join(part.expression for part in rest)
    if tail.startswith("/"):
        return rf"(?:.*/)?{tail[1:]}\Z"
    return rf".*{tail}\Z"


def _around_double_stars(pattern: Pattern, parts: list[Token]) -> str:
    """`**` is any number of directories, none included; at the end it is anything at all.

    A piece that ends with a slash is taken where it first fits. Only after the rare `name**` other
    places must be tried, so there may not be many of those.
    """
    pieces, is_open = _split(parts)
    in_names = sum(piece[-1].expression != "/" for piece in pieces[1:-1])
    if in_names + bool(pieces[0] and pieces[0][-1].expression != "/") > _MAXIMUM_STARS_IN_NAMES:
        raise malformed(pattern.written)
    expression = joined(pieces[0])
    for piece in pieces[1:]:
        if piece and piece[-1].expression == "/" and piece is not pieces[-1]:
            expression += f"(?>(?:.*?/)??{joined(piece)})"
        else:
            expression += f"(?:.*/)?{joined(piece)}"
    return expression if is_open else rf"{expression}\Z"


def _split(parts: list[Token]) -> tuple[list[list[Token]], bool]:
    """The pieces between double stars, and whether one is at the end."""
    pieces: list[list[Token]] = [[]]
    position = 0
    while position < len(parts):
        if parts[position].kind == "*" and parts[position + 1 : position + 2] == [parts[position]]:
            position += 2
            if parts[position : position + 1] == [Token("", "/")]:
                position += 1
            if position == len(parts):
                return pieces, True
            if pieces[-1] or len(pieces) == 1:
                pieces.append([])
            continue
        pieces[-1].append(parts[position])
        position += 1
    return pieces, False


class _Reach:
    """Whether an exception can bring back something in a directory."""

    def __init__(self, pattern: Pattern) -> None:
        before, double_star, _ = pattern.text.partition("**")
        names = [] if "[" in before or "\\" in before else before.split("/")  # they may match a slash
        self._anywhere = bool(double_star) or not names
        if double_star:
            names = names[:-1]  # what stands beside the double star tells nothing
        self._names = [re.compile(rf"{joined(list(tokens(name)))}\Z", re.DOTALL) for name in names]

    def goes_into(self, directory: str) -> bool:
        parts = directory.split("/")
        if not self._anywhere and len(self._names) <= len(parts):
            return False
        return all(name.match(part) for name, part in zip(self._names, parts, strict=False))
