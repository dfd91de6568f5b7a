"""The text of a Dockerfile → its instructions, as BuildKit's parser for docker/dockerfile:1 takes them.

A line is one instruction, longer by every line that the escape character ends; comments and empty lines
inside such a continuation vanish. Directives (`# escape=…`) count only before anything else. After a line
with `<<NAME` the lines up to NAME belong to it as they stand. What the words mean is `instructions`' part.

Bytes that are not UTF-8 survive as surrogates (`surrogateescape`), for a heredoc may be copied to a file.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from argosy.build.complain import DockerfileError
from argosy.build.words import SPACE, Style, process, quoted

_BLANK = re.compile(r"[\t\v\f\r ]+")
_DIRECTIVE = re.compile(rf"#[{SPACE}]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(\S.*?|.)[\t\n\f\r ]*\Z")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(\d*)<<(-?)([^<]*)")
_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)
_IS_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(code) for code in range(0x2000, 0x200B)
}
SPACES = "".join(sorted(_IS_SPACE))
_WITH_HEREDOCS = ("add", "copy", "run")
_DEEPEST_ONBUILD = 8


class Heredoc(NamedTuple):
    name: str
    content: str
    expand: bool
    """The delimiter was not quoted: variables in the content are replaced where that is done at all."""
    chomp: bool
    """`<<-`: leading tabs do not count."""
    descriptor: int

    @property
    def chomped(self) -> str:
        return _LEADING_TABS.sub("", self.content) if self.chomp else self.content


class Pair(NamedTuple):
    """One of ENV's or LABEL's."""

    key: str
    value: str
    legacy: bool
    """Written `ENV key value`."""


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction, taken apart and not understood."""

    keyword: str
    """As written; see `name`."""
    original: str
    """The instruction on one line: continuations joined, comments gone."""
    flags: tuple[str, ...] = ()
    """`--name=value`, quotes removed."""
    arguments: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    is_json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()
    """The comments above, without their #, since the last empty one."""
    first_line: int = 0
    last_line: int = 0
    trigger: "Node | None" = None
    """ONBUILD's instruction."""

    @property
    def name(self) -> str:
        return self.keyword.lower()


@dataclass(frozen=True, slots=True)
class Dockerfile:
    source: str
    name: str
    nodes: tuple[Node, ...]
    escape: str = "\\"
    syntax: str = ""
    check: str = ""
    empty_continuations: tuple[int, ...] = ()
    """The last lines of instructions that go on over an empty line."""


def parse(text: bytes | str, name: str = "Dockerfile") -> Dockerfile:
    """Raises DockerfileError."""
    source = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    if not source:
        raise DockerfileError("the Dockerfile cannot be empty")
    body = source.removeprefix("\ufeff")
    reader = _Reader(body)
    nodes = tuple(reader.nodes())
    if not nodes:
        raise DockerfileError("file with no instructions", reader.number)
    return Dockerfile(
        source=source,
        name=name,
        nodes=nodes,
        escape=reader.escape,
        syntax=directive("syntax", body).partition(" ")[0],
        check=directive("check", body).partition(" ")[0],
        empty_continuations=tuple(reader.empty_continuations),
    )


def parse_trigger(expression: str) -> Node:
    """An instruction that a base image's ONBUILD left. Raises DockerfileError."""
    nodes = parse(expression).nodes
    if len(nodes) != 1:
        raise DockerfileError("onbuild trigger should be a single expression")
    return nodes[0]


def directive(name: str, text: str) -> str:
    """The value of the directive at the top of the text, else empty. A `#!` line may come before."""
    if text.startswith("#!"):
        text = text.partition("\n")[2]
    seen = set()
    for line in text.split("\n"):
        found = _as_directive(line)
        if found is None or found[0] in seen:
            return ""
        if found[0] == name:
            return found[1]
        seen.add(found[0])
    return ""


def as_heredoc(word: str) -> Heredoc | None:
    """`<<EOF`, without content, or None if the word is something else."""
    match = _HEREDOC.fullmatch(word)
    if match is None or not match[3]:
        return None
    plain = process(match[3], {}, "\\", Style(keep_unset=True)).words
    if len(plain) != 1:
        return None
    raw = process(match[3], {}, "\\", Style(keep_unset=True, keep_quotes=True)).words
    is_quoted = _quotes(plain[0]) != _quotes("".join(raw))
    return Heredoc(plain[0], "", not is_quoted, match[2] == "-", int(match[1][:9] or 0))


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


def _as_directive(line: str) -> tuple[str, str] | None:
    match = _DIRECTIVE.match(line)
    if match is None or match[1].lower() not in _DIRECTIVES:
        return None
    return match[1].lower(), match[2]


@dataclass
class _Reader:
    """Goes through the lines once."""

    body: str
    escape: str = "\\"
    number: int = 0
    """Of the line read last, from 1."""
    empty_continuations: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = iter(_lines(self.body))
        self._directives_seen: set[str] | None = set()
        self._continues = _continuation(self.escape)

    def nodes(self) -> Iterator[Node]:
        comments: list[str] = []
        for line in self._lines:
            self.number += 1
            text = line.rstrip("\r\n").lstrip(SPACES)
            is_directive = self._take_directive(text)
            if text.startswith("#"):
                comment = text[1:].strip(SPACES)
                comments = [*comments, comment] if comment and not is_directive else []
                continue
            if not text:
                continue
            yield self._instruction(text, tuple(comments))
            comments = []

    def _instruction(self, text: str, comments: tuple[str, ...]) -> Node:
        first = self.number
        joined = self._continued(text)
        try:
            node = _node(joined, self.escape)
            heredocs = tuple(self._heredocs(joined)) if "<<" in joined and _may_have_heredocs(node) else ()
        except DockerfileError as error:
            raise error.at(first, self.number) from None
        return _replace(node, comments=comments, heredocs=heredocs, lines=(first, self.number))

    def _continued(self, text: str) -> str:
        parts: list[str] = []
        has_gap = False
        while (match := self._continues.search(text)) is not None:
            parts.append(text[: match.start()])
            text = ""
            following = self._following()
            while following is not None and _is_skipped(following):
                has_gap = has_gap or not following.strip(SPACES)
                following = self._following()
            if following is None:
                break
            text = following.rstrip("\r\n")
        if has_gap:
            self.empty_continuations.append(self.number)
        return "".join([*parts, text])

    def _heredocs(self, line: str) -> Iterator[Heredoc]:
        for heredoc in _heredocs_named_in(line):
            content: list[str] = []
            while (following := self._following()) is not None:
                ending = following.rstrip("\r\n")
                if (ending.lstrip("\t") if heredoc.chomp else ending) == heredoc.name:
                    break
                content.append(following)
            else:
                raise DockerfileError("unterminated heredoc")
            yield heredoc._replace(content="".join(content))

    def _following(self) -> str | None:
        line = next(self._lines, None)
        if line is not None:
            self.number += 1
        return line

    def _take_directive(self, line: str) -> bool:
        if self._directives_seen is None:
            return False
        found = _as_directive(line)
        if found is None:
            self._directives_seen = None
            return False
        name, value = found
        if name in self._directives_seen:
            raise DockerfileError(f"only one {name} parser directive can be used", self.number)
        self._directives_seen.add(name)
        if name == "escape":
            if value not in ("\\", "`"):
                raise DockerfileError(f"invalid escape token '{value}' does not match ` or \\", self.number)
            self.escape = value
            self._continues = _continuation(value)
        return True


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _continuation(escape: str) -> re.Pattern[str]:
    """The escape character at the end of the line, unless another one is before it."""
    token = re.escape(escape)
    return re.compile(rf"(?<!{token}){token}[ \t]*\Z")


def _is_skipped(line: str) -> bool:
    stripped = line.strip(SPACES)
    return not stripped or stripped.startswith("#")


def _may_have_heredocs(node: Node) -> bool:
    if node.trigger is not None:
        node = node.trigger
    return node.name in _WITH_HEREDOCS and not node.is_json


def _heredocs_named_in(line: str) -> list[Heredoc]:
    style = Style(keep_quotes=True, keep_escapes=True, keep_unset=True)
    try:
        words = process(line, {}, "\\", style).words
    except DockerfileError:
        return []
    return [heredoc for word in words if (heredoc := as_heredoc(word)) is not None]


def _replace(
    node: Node, *, comments: tuple[str, ...], heredocs: tuple[Heredoc, ...], lines: tuple[int, int]
) -> Node:
    return Node(
        node.keyword, node.original, node.flags, node.arguments, node.pairs, node.is_json,
        heredocs, comments, *lines, trigger=node.trigger,
    )  # fmt: skip


# One instruction's line


class _Parts(NamedTuple):
    arguments: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    is_json: bool = False
    trigger: Node | None = None


def _node(line: str, escape: str, depth: int = 0) -> Node:
    keyword, _, rest = _partition_blank(line.strip(SPACES))
    flags, rest = _take_flags(rest)
    rest = rest.strip(SPACES)
    if keyword.lower() == "onbuild":
        parts = _trigger(rest, escape, depth)
    else:
        parts = _SHAPES.get(keyword.lower(), _nothing)(rest, escape)
    return Node(keyword, line, flags, parts.arguments, parts.pairs, parts.is_json, trigger=parts.trigger)


def _partition_blank(text: str) -> tuple[str, str, str]:
    match = _BLANK.search(text)
    if match is None:
        return text, "", ""
    return text[: match.start()], match[0], text[match.end() :]


def _trigger(rest: str, escape: str, depth: int) -> _Parts:
    if not rest:
        return _Parts()
    if depth >= _DEEPEST_ONBUILD:
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    node = _node(rest, escape, depth + 1)
    return _Parts((node.keyword, *node.arguments), trigger=node)


def _nothing(rest: str, escape: str) -> _Parts:
    """An unknown instruction; that is for others to complain about."""
    return _Parts()


def _one_string(rest: str, escape: str) -> _Parts:
    return _Parts((rest,) if rest else ())


def _words_at_blanks(rest: str, escape: str) -> _Parts:
    return _Parts(tuple(_BLANK.split(rest)) if rest else ())


def _json_or_string(rest: str, escape: str) -> _Parts:
    words = _json_words(rest)
    return _one_string(rest, escape) if words is None else _Parts(words, is_json=True)


def _json_or_words(rest: str, escape: str) -> _Parts:
    words = _json_words(rest)
    return _words_at_blanks(rest, escape) if words is None else _Parts(words, is_json=True)


def _words(rest: str, escape: str) -> _Parts:
    return _Parts(tuple(quoted_words(rest, escape)))


def _health(rest: str, escape: str) -> _Parts:
    kind = rest.split(maxsplit=1)
    if not kind:
        return _Parts()
    command = _json_or_string(kind[1] if len(kind) > 1 else "", escape)
    return _Parts((kind[0], *command.arguments), is_json=command.is_json)


def _pairs(instruction: str) -> Callable[[str, str], _Parts]:
    def parts(rest: str, escape: str) -> _Parts:
        words = quoted_words(rest, escape)
        if not words:
            return _Parts()
        if "=" not in words[0]:
            key, blank, value = _partition_blank(rest)
            if not blank:
                raise DockerfileError(f"{instruction} must have two arguments")
            return _Parts(pairs=(Pair(key, value, True),))
        pairs = []
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                raise DockerfileError(
                    f"Syntax error - can't find = in {quoted(word)}. Must be of the form: name=value"
                )
            pairs.append(Pair(key, value, False))
        return _Parts(pairs=tuple(pairs))

    return parts


_SHAPES: dict[str, Callable[[str, str], _Parts]] = {
    "add": _json_or_words,
    "arg": _words,
    "cmd": _json_or_string,
    "copy": _json_or_words,
    "entrypoint": _json_or_string,
    "env": _pairs("ENV"),
    "expose": _words_at_blanks,
    "from": _words_at_blanks,
    "healthcheck": _health,
    "label": _pairs("LABEL"),
    "maintainer": _one_string,
    "run": _json_or_string,
    "shell": _json_or_string,
    "stopsignal": _one_string,
    "user": _one_string,
    "volume": _json_or_words,
    "workdir": _one_string,
}
KEYWORDS = (*_SHAPES, "onbuild")


def _json_words(rest: str) -> tuple[str, ...] | None:
    """None if the text is not a JSON array: then it is the shell form."""
    if not rest.startswith("["):
        return None
    try:
        decoded = msgspec.json.decode(rest.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
    if not isinstance(decoded, list):
        return None
    if not all(isinstance(item, str) for item in decoded):
        raise DockerfileError("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(decoded)


def quoted_words(text: str, escape: str) -> list[str]:
    """Split at spaces outside quotes; quotes and escapes stay for the expansion to remove."""
    words: list[str] = []
    current: list[str] = []
    quote = ""
    position = 0
    was_quoted = False
    while position < len(text):
        character = text[position]
        position += 1
        if not quote and character in _IS_SPACE:
            if current or was_quoted:
                words.append("".join(current))
            current, was_quoted = [], False
            continue
        if character == escape and quote != "'":
            if position == len(text):  # nothing left to escape
                break
            current += (character, text[position])
            position += 1
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
            was_quoted = True
        current.append(character)
    if current or was_quoted:
        words.append("".join(current))
    return words


def _take_flags(text: str) -> tuple[tuple[str, ...], str]:
    """The words at the beginning that start with `--`, their quotes removed, and the rest."""
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in _IS_SPACE:
            position += 1
        if not text.startswith("--", position):
            return tuple(flags), text[position:]
        flag, position = _flag(text, position)
        if flag == "--":
            return tuple(flags), text[position:]
        flags.append(flag)


def _flag(text: str, position: int) -> tuple[str, int]:
    """Here, as in BuildKit, the escape character is always the backslash."""
    word: list[str] = []
    quote = ""
    while position < len(text):
        character = text[position]
        if not quote and character in _IS_SPACE:
            break
        position += 1
        if character == "\\":
            word.append(text[position : position + 1])
            position += 1
        elif quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            word.append(character)
    return "".join(word), position
