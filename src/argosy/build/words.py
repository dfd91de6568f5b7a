"""Words of a Dockerfile: quotes, escapes and variables, as BuildKit's shell lexer takes them.

It looks like sh and is not: there is no field splitting inside quotes, `$name` that is not set is
empty, single quotes inside `${…}` still quote, and an escape before an ordinary letter vanishes outside
double quotes and stays inside them.

    $VAR ${VAR}             the value, or nothing
    ${VAR-w} ${VAR:-w}      w if VAR is not set (or, with the colon, empty)
    ${VAR+w} ${VAR:+w}      w if VAR is set (and not empty)
    ${VAR?w} ${VAR:?w}      an error that says w if VAR is not set (or empty)
    ${VAR#p} ${VAR##p}      without the shortest (longest) prefix that matches p
    ${VAR%p} ${VAR%%p}      without the shortest (longest) suffix that matches p
    ${VAR/p/r} ${VAR//p/r}  the first (every) match of p replaced by r
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from argosy.build.complain import DockerfileError
from argosy.build.globs import replace, without_prefix, without_suffix

# Go's unicode.IsSpace, which is not Python's str.isspace().
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_IS_SPACE = re.compile(f"[{SPACE}]").match
_SPACES = re.compile(f"([{SPACE}]+)")
_NAME = re.compile(r"\d+|[@*#?\-$!0]|\w+")
_LONGEST = 16 << 20
_DEEPEST = 64


class Expansion(NamedTuple):
    text: str
    words: list[str]
    used: frozenset[str]
    """Variables that the text names and the environment has."""
    unmatched: frozenset[str]
    """Variables that the text names and the environment lacks."""


class Style(NamedTuple):
    """What is left as written, for those who only look for words (heredocs) or only for variables."""

    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False
    ignore_quotes: bool = False


PLAIN = Style()


def expand(word: str, environment: Mapping[str, str], escape: str = "\\") -> str:
    """The word without quotes and with its variables. Raises DockerfileError."""
    return process(word, environment, escape).text


def split(word: str, environment: Mapping[str, str], escape: str = "\\") -> list[str]:
    """As `expand`, then split at spaces that are not quoted. Raises DockerfileError."""
    return process(word, environment, escape).words


def process(word: str, environment: Mapping[str, str], escape: str = "\\", style: Style = PLAIN) -> Expansion:
    """Raises DockerfileError, without lines."""
    if not any(special in word for special in ("$", "'", '"', escape)):
        return Expansion(word, [part for part in _SPACES.split(word) if part and not _IS_SPACE(part)], *_NONE)
    lexer = _Lexer(word, environment, escape, style)
    try:
        text, words = lexer.until("", style.keep_escapes)
    except DockerfileError as error:
        raise DockerfileError(f"failed to process {quoted(word)}: {error.message}") from None
    return Expansion(text, words, frozenset(lexer.used), frozenset(lexer.unmatched))


_NONE: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


def quoted(text: str) -> str:
    """Go's %q."""
    return '"' + "".join(_QUOTED.get(c) or (c if c.isprintable() else _escaped(c)) for c in text) + '"'


_QUOTED = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f",
    "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, see dockerfile.parse
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass
class _Words:
    """Collects the words. Spaces end a word, unless they were quoted or escaped."""

    done: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        for part in _SPACES.split(text):
            if part and _IS_SPACE(part):
                self.end()
            else:
                self.current.append(part)

    def add_quoted(self, text: str) -> None:
        self.current.append(text)

    def end(self) -> None:
        word = "".join(self.current)
        if word:
            self.done.append(word)
        self.current.clear()


class _Lexer:
    def __init__(self, text: str, environment: Mapping[str, str], escape: str, style: Style) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._size = 0
        self._environment = environment
        self._escape = escape
        self._style = style
        self.used: set[str] = set()
        self.unmatched: set[str] = set()
        quotes = "" if style.ignore_quotes else "'\""
        self._plain = re.compile(f"[^${re.escape(escape)}{quotes}/}}]+")
        self._plain_in_quotes = re.compile(f'[^${re.escape(escape)}"]+')

    def until(self, stop: str, keep_escapes: bool) -> tuple[str, list[str]]:
        """Up to the character `stop`, or to the end if there is none."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise DockerfileError(f"substitutions are nested more than {_DEEPEST} deep")
        result: list[str] = []
        words = _Words()
        while character := self._peek():
            if character == stop:
                self._next()
                break
            quoted, piece = self._piece(character, keep_escapes)
            self._count(piece)
            result.append(piece)
            (words.add_quoted if quoted else words.add)(piece)
        else:
            if stop:
                raise DockerfileError(f"unexpected end of statement while looking for matching {stop}")
        self._depth -= 1
        words.end()
        return "".join(result), words.done

    def _piece(self, character: str, keep_escapes: bool) -> tuple[bool, str]:
        """The next piece, and whether spaces in it belong to the word."""
        if character == "$":
            return False, self._dollar()
        if character == "'" and not self._style.ignore_quotes:
            return True, self._single_quotes()
        if character == '"' and not self._style.ignore_quotes:
            return True, self._double_quotes(keep_escapes)
        if character == self._escape:
            self._next()
            return True, (self._escape if keep_escapes else "") + self._next()
        return False, self._run(self._plain)

    def _single_quotes(self) -> str:
        start = self._position
        end = self._text.find("'", start + 1)
        if end < 0:
            self._position = len(self._text)
            raise DockerfileError("unexpected end of statement while looking for matching single-quote")
        self._position = end + 1
        return self._text[start : end + 1] if self._style.keep_quotes else self._text[start + 1 : end]

    def _double_quotes(self, keep_escapes: bool) -> str:
        mark = '"' if self._style.keep_quotes else ""
        self._next()
        result = [mark]
        while character := self._peek():
            if character == '"':
                self._next()
                return "".join([*result, mark])
            piece = self._piece_in_quotes(character, keep_escapes)
            self._count(piece)
            result.append(piece)
        raise DockerfileError("unexpected end of statement while looking for matching double-quote")

    def _piece_in_quotes(self, character: str, keep_escapes: bool) -> str:
        if character == "$":
            return self._dollar()
        if character != self._escape:
            return self._run(self._plain_in_quotes)
        self._next()
        kept = self._escape if keep_escapes else ""
        following = self._peek()
        if not following:
            return kept
        return kept + (self._next() if following in ('"', "$", self._escape) else self._escape)

    def _dollar(self) -> str:
        self._next()
        if self._peek() == "{":
            self._next()
            return self._braces()
        name = self._name()
        if not name:
            return "$"
        value = self._value(name)
        if value is None:
            return f"${name}" if self._style.keep_unset else ""
        return value

    def _braces(self) -> str:
        following = self._peek()
        if not following:
            raise DockerfileError("syntax error: missing '}'")
        if following in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        name = self._name()
        modifier = self._next()
        if modifier == "}":
            value = self._value(name)
            if value is None:
                return f"${{{name}}}" if self._style.keep_unset else ""
            return value
        if modifier == "/":
            return self._replaced(name)
        if not modifier:
            raise DockerfileError("syntax error: missing '}'")
        written = modifier
        if modifier == ":":
            modifier = self._next()
            written += modifier
        elif modifier not in ("+", "-", "?", "#", "%"):
            raise _unsupported(modifier)
        return self._modified(name, modifier, written)

    def _modified(self, name: str, modifier: str, written: str) -> str:
        word = self._argument("}", keep_escapes=modifier in ("#", "%"), missing="syntax error: missing '}'")
        value = self._value(name)
        if value is None and self._style.keep_unset:
            return f"${{{name}{written}{word}}}"
        absent = value is None or (not value and written.startswith(":"))
        match modifier:
            case "-":
                return word if absent else value or ""
            case "+":
                return "" if absent else word
            case "?":
                if absent:
                    lack = "is not allowed to be unset" if value is None else "is not allowed to be empty"
                    raise DockerfileError(f"{name}: {word or lack}")
                return value or ""
            case "#" | "%":
                longest = word.startswith(modifier)
                trim = without_prefix if modifier == "#" else without_suffix
                return trim(value or "", word[1:] if longest else word, longest=longest)
        raise _unsupported(written)

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self._argument("/", keep_escapes=True, missing="syntax error: missing '/' in ${}")
        replacement = self._argument("}", keep_escapes=True, missing="syntax error: missing '}'")
        value = self._value(name)
        if value is None and self._style.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        return replace(value or "", pattern, replacement, everywhere=everywhere, limit=_LONGEST)

    def _argument(self, stop: str, *, keep_escapes: bool, missing: str) -> str:
        depth = self._depth
        try:
            return self.until(stop, keep_escapes)[0]
        except DockerfileError:
            if self._peek() or depth + 1 >= _DEEPEST:
                raise
            raise DockerfileError(missing) from None

    def _name(self) -> str:
        match = _NAME.match(self._text, self._position)
        if match is None:
            return ""
        self._position = match.end()
        return match[0]

    def _value(self, name: str) -> str | None:
        value = self._environment.get(name)
        (self.unmatched if value is None else self.used).add(name)
        return value

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _run(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:  # one of the characters that only some contexts stop at
            return self._next()
        self._position = match.end()
        return match[0]

    def _count(self, piece: str) -> None:
        """A few lines of ENV A=$A$A would otherwise fill the memory."""
        self._size += len(piece)
        if self._size > _LONGEST:
            raise DockerfileError("the expanded text is too long")


def _unsupported(modifier: str) -> DockerfileError:
    return DockerfileError(f"unsupported modifier ({modifier}) in substitution")


class Variables:
    """An environment to expand words in, and which of its variables, and which unknown ones, were named."""

    def __init__(self, environment: Mapping[str, str], escape: str = "\\") -> None:
        self.environment = environment
        self.escape = escape
        self.used: set[str] = set()
        self.unmatched: set[str] = set()

    def word(self, text: str) -> str:
        """Raises DockerfileError."""
        return self.noted(process(text, self.environment, self.escape)).text

    def words(self, text: str) -> list[str]:
        """Raises DockerfileError."""
        return self.noted(process(text, self.environment, self.escape)).words

    def content(self, text: str) -> str:
        """Of a heredoc: quotes stand for themselves. Raises DockerfileError."""
        return self.noted(process(text, self.environment, "\\", Style(ignore_quotes=True))).text

    def noted(self, expansion: Expansion) -> Expansion:
        self.used |= expansion.used
        self.unmatched |= expansion.unmatched
        return expansion
