"""Go's text/template: text and actions apart, and an action's tokens."""

from __future__ import annotations


class TemplateError(Exception):
    """Its text is what Go says, from `template:` on."""


class Token:
    __slots__ = ("kind", "position", "spaced", "text")

    def __init__(self, kind: str, text: str, position: int, spaced: bool) -> None:
        """`spaced`: white space stands before it, so that it begins a new argument."""
        self.kind = kind
        self.text = text
        self.position = position
        self.spaced = spaced


_SPACE = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_NUMERIC = frozenset("0123456789abcdefABCDEFxXoO_.+-")


def where(source: str, position: int) -> tuple[int, int]:
    """Line from one, column from zero, as Go counts them."""
    before = source[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1)


class Lexer:
    def __init__(self, source: str, name: str) -> None:
        self.source = source
        self.name = name

    def error(self, position: int, message: str) -> TemplateError:
        return TemplateError(f"template: {self.name}:{where(self.source, position)[0]}: {message}")

    def pieces(self) -> list[str | list[Token]]:
        """Texts and actions in turn; trim markers applied, comments gone."""
        source, position, trim_left = self.source, 0, False
        pieces: list[str | list[Token]] = []
        while True:
            start = source.find("{{", position)
            text = source[position:] if start < 0 else source[position:start]
            if trim_left:
                text = text.lstrip(_SPACE)
            if start < 0:
                if text:
                    pieces.append(text)
                return pieces
            inside = start + 2
            if source[inside : inside + 1] == "-" and source[inside + 1 : inside + 2] in _SPACE_SET:
                text = text.rstrip(_SPACE)
                inside += 2
            if text:
                pieces.append(text)
            tokens, position, trim_left = self._action(inside)
            if tokens is not None:
                pieces.append(tokens)

    def _action(self, position: int) -> tuple[list[Token] | None, int, bool]:
        """Its tokens (None for a comment), where it ends, and whether it trims what follows."""
        source = self.source
        if source.startswith("/*", position):
            end = source.find("*/", position)
            if end < 0:
                raise self.error(position, "unclosed comment")
            end += 2
            trims = source[end : end + 1] in _SPACE_SET and source.startswith("-}}", end + 1)
            end += 2 if trims else 0
            if not source.startswith("}}", end):
                raise self.error(position, "comment ends before closing delimiter")
            return None, end + 2, trims
        tokens: list[Token] = []
        opened = position
        depth = 0
        while True:
            spaced = False
            while position < len(source) and source[position] in _SPACE:
                position += 1
                spaced = True
            if position >= len(source):
                raise self.error(opened, "unclosed action")
            if source.startswith("}}", position):
                return self._closed(tokens, depth, position), position + 2, False
            if spaced and source.startswith("-}}", position):
                return self._closed(tokens, depth, position), position + 3, True
            token = self._token(position, spaced)
            depth += (token.kind == "(") - (token.kind == ")")
            if depth < 0:
                raise self.error(position, "unexpected right paren")
            tokens.append(token)
            position += len(token.text)

    def _closed(self, tokens: list[Token], depth: int, position: int) -> list[Token]:
        if depth:
            raise self.error(position, "unclosed left paren")
        return tokens

    def _token(self, position: int, spaced: bool) -> Token:
        source = self.source
        sign = source[position]
        if sign == '"':
            return Token("string", self._quoted(position, '"'), position, spaced)
        if sign == "'":
            return Token("char", self._quoted(position, "'"), position, spaced)
        if sign == "`":
            end = source.find("`", position + 1)
            if end < 0:
                raise self.error(position, "unterminated raw quoted string")
            return Token("raw", source[position : end + 1], position, spaced)
        if source.startswith(":=", position):
            return Token(":=", ":=", position, spaced)
        if sign in "()|,=":
            return Token(sign, sign, position, spaced)
        following = source[position + 1 : position + 2]
        if sign == "." and not following.isdigit():
            return Token("field", sign + self._word(position + 1), position, spaced)
        if sign == "$":
            return Token("variable", sign + self._word(position + 1), position, spaced)
        if sign.isdigit() or sign in "+-.":
            end = position + 1
            while end < len(source) and source[end] in _NUMERIC:
                end += 1
            return Token("number", source[position:end], position, spaced)
        word = self._word(position)
        if not word:
            raise self.error(position, f"unexpected {self._shown(sign)} in command")
        return Token("word", word, position, spaced)

    @staticmethod
    def _shown(sign: str) -> str:
        return f"bad character U+{ord(sign):04X} '{sign}'"

    def _word(self, position: int) -> str:
        end = position
        while end < len(self.source) and (self.source[end].isalnum() or self.source[end] == "_"):
            end += 1
        return self.source[position:end]

    def _quoted(self, position: int, quote: str) -> str:
        source, end = self.source, position + 1
        while end < len(source) and source[end] != quote and source[end] != "\n":
            end += 2 if source[end] == "\\" else 1
        if end >= len(source) or source[end] != quote:
            raise self.error(position, "unterminated quoted string")
        return source[position : end + 1]


_SPACE_SET = frozenset(_SPACE)


def unquote(text: str) -> str:
    """A string constant's value."""
    if text.startswith("`"):
        return text[1:-1]
    result, position = [], 1
    while position < len(text) - 1:
        sign = text[position]
        if sign != "\\":
            result.append(sign)
            position += 1
            continue
        escape = text[position + 1]
        width = {"x": 2, "u": 4, "U": 8}.get(escape)
        if width:
            result.append(chr(int(text[position + 2 : position + 2 + width], 16)))
            position += 2 + width
        else:
            result.append(_ESCAPES.get(escape, escape))
            position += 2
    return "".join(result)
