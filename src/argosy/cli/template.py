"""Go templates for `--format`: parsed into closures over the nodes, run over the API's JSON.

Docker runs a template over Go structs and, when that fails, over the JSON itself. Here there is only the
JSON; `_MAPS` and `_POINTERS` name the fields whose Go type shows in what is printed when they are empty.
"""

from __future__ import annotations

from argosy.cli.template_functions import FUNCTIONS, NO_VALUE, Absent, FunctionError, is_true, kind, show
from argosy.cli.template_lexer import Lexer, TemplateError, Token, unquote, where
from argosy.cli.template_scope import Chained, Fields, Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Evaluate = Callable[["Scope"], Any]
    Block = list[Callable[["Scope", list[str]], None]]

__all__ = ["Fields", "Template", "TemplateError"]

# Go maps: a key that is missing is no error.
_MAPS = frozenset(
    "Annotations Containers Data DriverOpts ExposedPorts Labels Metadata Networks Options PortBindings"
    " Ports StorageOpt Sysctls Tmpfs Volumes Attributes".split()
)
# Go pointers and interfaces: empty they print as <nil>, where slices print as [].
_POINTERS = frozenset(
    "BindOptions Health Healthcheck IPAMConfig Init MemorySwappiness OomKillDisable PidsLimit Platform"
    " StopTimeout UsageData VolumeOptions".split()
)
# Left out of the JSON when they are empty.
_OMITTED: dict[str, Any] = {
    **dict.fromkeys(("Annotations", "ExposedPorts", "StorageOpt", "Sysctls", "Tmpfs"), Absent("map[]")),
    **dict.fromkeys(
        (
            "Descriptor", "Health", "Healthcheck", "ImageManifestDescriptor", "Init", "SizeRootFs", "SizeRw",
            "StopTimeout", "UsageData",
        ),
        Absent("<nil>"),
    ),
    **dict.fromkeys(("Mounts", "OnBuild", "Shell"), Absent("[]")),
    **dict.fromkeys(
        ("Author", "Comment", "Container", "MacAddress", "OsVersion", "StopSignal", "Variant"), ""
    ),
    **dict.fromkeys(("ArgsEscaped", "NetworkDisabled"), False),
    "VirtualSize": 0,
}  # fmt: skip
_LOGIC = ("and", "or")
# Go's names of fields that are called otherwise in the JSON.
_GO_NAMES = {"APIVersion": "ApiVersion", "HTTPProxy": "HttpProxy", "HTTPSProxy": "HttpsProxy", "ID": "Id"}
_RESHAPING = frozenset(("join", "json", "lower", "pad", "split", "title", "truncate", "upper"))


class _Stop(Exception):
    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Template:
    """Raises TemplateError when it cannot be parsed."""

    def __init__(self, source: str, name: str = "") -> None:
        self._lexer = Lexer(source, name)
        self._pieces = self._lexer.pieces()
        self._place = 0
        self._declared = {"$"}
        self._loops = 0
        self._as_header = False
        self._defined: dict[str, Block] = {}
        self._block, _ = self._parse_block(())

    def execute(self, data: Any, *, as_header: bool = False) -> str:
        """Raises TemplateError; what was printed until then is lost.

        As a table's header, functions that reshape a value leave it as it is.
        """
        self._as_header = as_header
        output: list[str] = []
        _run(self._block, Scope(data, Chained({"$": data})), output)
        return "".join(output)

    # Parsing

    def _parse_block(self, ends: tuple[str, ...]) -> tuple[Block, list[Token]]:
        """Nodes until one of the words that end the block; that action's tokens."""
        block: Block = []
        while self._place < len(self._pieces):
            piece = self._pieces[self._place]
            self._place += 1
            if isinstance(piece, str):
                block.append(lambda scope, output, text=piece: output.append(text))  # type: ignore[misc]
                continue
            if not piece:
                raise self._lexer.error(0, "missing value for command")
            word = piece[0].text if piece[0].kind == "word" else ""
            if word in ("end", "else"):
                if word not in ends:
                    raise self._lexer.error(piece[0].position, f"unexpected {{{{{word}}}}}")
                return block, piece
            block.append(self._action(word, piece))
        if ends:
            raise self._lexer.error(len(self._lexer.source), "unexpected EOF")
        return block, []

    def _action(self, word: str, tokens: list[Token]) -> Callable[[Scope, list[str]], None]:
        if word in ("if", "with"):
            return self._branch(word, tokens[1:])
        if word == "range":
            return self._range(tokens[1:])
        if word in ("break", "continue"):
            if not self._loops:
                raise self._lexer.error(tokens[0].position, f"{{{{{word}}}}} outside {{{{range}}}}")
            return _stopper(word)
        if word in ("define", "template", "block"):
            return self._named(word, tokens)
        names, declares, rest = self._declaration(tokens)
        if len(names) > 1:
            raise self._lexer.error(tokens[0].position, "too many declarations in command")
        evaluate = _Pipeline(self, rest).parse()
        if not names:
            return lambda scope, output: output.append(show(evaluate(scope)))
        return _assignment(names[0], declares, evaluate)

    def _declaration(self, tokens: list[Token]) -> tuple[list[str], bool, list[Token]]:
        """`$x :=`, `$x =`, `$i, $x :=`: the names, whether they are new, and what is assigned."""
        for place, token in enumerate(tokens[:4]):
            if token.kind in (":=", "="):
                names = [name.text for name in tokens[:place] if name.kind == "variable"]
                if token.kind == "=" and not self._declared.issuperset(names):
                    raise self._lexer.error(token.position, f'undefined variable "{names[0]}"')
                self._declared.update(names)
                return names, token.kind == ":=", tokens[place + 1 :]
        return [], False, tokens

    def declared(self, token: Token) -> None:
        if token.text not in self._declared:
            raise self._lexer.error(token.position, f'undefined variable "{token.text}"')

    def _branch(self, word: str, tokens: list[Token]) -> Callable[[Scope, list[str]], None]:
        if not tokens:
            raise self._lexer.error(0, f"missing value for {word}")
        names, _, rest = self._declaration(tokens)
        evaluate = _Pipeline(self, rest).parse()
        then, otherwise = self._bodies(word)

        def run(scope: Scope, output: list[str]) -> None:
            value = evaluate(scope)
            inner = scope.inner(value if word == "with" and is_true(value) else scope.dot)
            for name in names:
                inner.variables[name] = value
            _run(then if is_true(value) else otherwise, inner, output)

        return run

    def _named(self, word: str, tokens: list[Token]) -> Callable[[Scope, list[str]], None]:
        """`define` makes a template of a name, `template` runs it, `block` does both."""
        if len(tokens) < 2 or tokens[1].kind not in ("string", "raw"):
            shown = _shown(tokens[1]) if len(tokens) > 1 else "{{end}}"
            raise self._lexer.error(tokens[0].position, f"unexpected {shown} in {word} clause")
        name, rest = unquote(tokens[1].text), tokens[2:]
        evaluate = _Pipeline(self, rest).parse() if rest and word != "define" else None
        if word != "template":
            self._defined[name], _ = self._parse_block(("end",))
        position = tokens[0].position

        def run(scope: Scope, output: list[str]) -> None:
            if name not in self._defined:
                raise self.failure(position, f'{{{{template "{name}"}}}}', f'template "{name}" not defined')
            dot = evaluate(scope) if evaluate is not None else NO_VALUE
            _run(self._defined[name], Scope(dot, Chained({"$": dot})), output)

        return _nothing if word == "define" else run

    def _bodies(self, word: str) -> tuple[Block, Block]:
        then, closing = self._parse_block(("end", "else"))
        if closing[0].text == "end":
            return then, []
        if len(closing) > 1 and closing[1].text in ("if", "with"):
            return then, [self._branch(closing[1].text, closing[2:])]
        otherwise, _ = self._parse_block(("end",))
        return then, otherwise

    def _range(self, tokens: list[Token]) -> Callable[[Scope, list[str]], None]:
        if not tokens:
            raise self._lexer.error(0, "missing value for range")
        names, _, rest = self._declaration(tokens)
        evaluate = _Pipeline(self, rest).parse()
        self._loops += 1
        body, otherwise = self._bodies("range")
        self._loops -= 1
        position = rest[0].position if rest else 0

        def run(scope: Scope, output: list[str]) -> None:
            value = evaluate(scope)
            pairs = self._pairs(value, position, rest[0].text if rest else "range")
            for key, item in pairs:
                inner = scope.inner(item)
                for name, bound in zip(names, (key, item) if len(names) > 1 else (item,), strict=False):
                    inner.variables[name] = bound
                try:
                    _run(body, inner, output)
                except _Stop as stop:
                    if stop.word == "break":
                        return
            if not pairs:
                _run(otherwise, scope.inner(scope.dot), output)

        return run

    def _pairs(self, value: Any, position: int, text: str) -> list[tuple[Any, Any]]:
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, (list, tuple)):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return [(number, number) for number in range(value)]
        if value is None or isinstance(value, Absent):
            return []
        raise self.failure(position, text, f"range can't iterate over {show(value)}")

    # Running

    def failure(self, position: int, text: str, message: str) -> TemplateError:
        line, column = where(self._lexer.source, position)
        name = self._lexer.name
        return TemplateError(f'template: {name}:{line}:{column}: executing "{name}" at <{text}>: {message}')

    def field(self, value: Any, key: str, position: int, text: str, parent: str) -> Any:
        if isinstance(value, dict):
            if key in value or (not isinstance(value, Fields) and hasattr(type(value), "__missing__")):
                found = value[key]
                if found is None and parent != "":
                    return Absent("<nil>" if key in _POINTERS else "map[]" if key in _MAPS else "[]")
                return found
            if _GO_NAMES.get(key) in value:
                return value[_GO_NAMES[key]]
            if parent in _MAPS and not isinstance(value, Fields):
                return NO_VALUE
            if key in _OMITTED and not isinstance(value, Fields):
                return _OMITTED[key]
            if isinstance(value, Fields):
                raise self.failure(position, text, f"can't evaluate field {key} in type {value.kind}")
            raise self.failure(position, text, f'map has no entry for key "{key}"')
        if isinstance(value, Absent) or value is None:
            raise self.failure(position, text, f"nil pointer evaluating interface {{}}.{key}")
        raise self.failure(position, text, f"can't evaluate field {key} in type {kind(value)}")

    def call(self, name: str, position: int, arguments: list[Any], text: str = "") -> Any:
        if self._as_header and name in _RESHAPING and arguments:
            return arguments[0]
        function, fewest, most = FUNCTIONS[name]
        count = len(arguments)
        if count < fewest or (most is not None and count > most):
            wanted = f"at least {fewest}" if most is None else str(fewest)
            raise self.failure(position, name, f"wrong number of args for {name}: want {wanted} got {count}")
        try:
            return function(*arguments)
        except FunctionError as error:
            raise self.failure(position, text or name, str(error)) from None
        except TypeError as error:
            raise self.failure(position, text or name, f"error calling {name}: {error}") from None

    def source(self, start: int, end: int) -> str:
        return " ".join(self._lexer.source[start:end].split())

    def undefined(self, token: Token) -> TemplateError:
        return self._lexer.error(token.position, f'function "{token.text}" not defined')

    def unexpected(self, token: Token, place: str) -> TemplateError:
        return self._lexer.error(token.position, f"unexpected {_shown(token)} in {place}")


def _run(block: Block, scope: Scope, output: list[str]) -> None:
    for node in block:
        node(scope, output)


def _nothing(scope: Scope, output: list[str]) -> None:
    return


def _stopper(word: str) -> Callable[[Scope, list[str]], None]:
    def run(scope: Scope, output: list[str]) -> None:
        raise _Stop(word)

    return run


def _assignment(name: str, declares: bool, evaluate: Evaluate) -> Callable[[Scope, list[str]], None]:
    def run(scope: Scope, output: list[str]) -> None:
        value = evaluate(scope)
        if declares or not isinstance(scope.variables, Chained):
            scope.variables[name] = value
        else:
            scope.variables.assign(name, value)

    return run


def _shown(token: Token) -> str:
    return f'"{token.text}"' if token.kind in (":=", "=", ",", "|") else f"<{token.text}>"


class _Pipeline:
    """One pipeline's tokens, read from left to right."""

    def __init__(self, template: Template, tokens: list[Token]) -> None:
        self._template = template
        self._tokens = tokens
        self._next = 0

    def parse(self) -> Evaluate:
        evaluate = self._commands()
        if self._next < len(self._tokens):
            raise self._template.unexpected(self._tokens[self._next], "command")
        return evaluate

    def _peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _commands(self) -> Evaluate:
        evaluate = self._command(None)
        while (token := self._peek()) is not None and token.kind == "|":
            self._next += 1
            evaluate = self._command(evaluate)
        return evaluate

    def _command(self, piped: Evaluate | None) -> Evaluate:
        token = self._peek()
        if token is None or token.kind in ("|", ")"):
            raise self._template._lexer.error(token.position if token else 0, "missing value for command")
        if token.kind == "word" and token.text not in ("true", "false", "nil"):
            return self._function(token, piped)
        operand = self._operand()
        arguments = self._arguments()
        if token.text == "nil" and token.kind == "word" and not arguments:
            return self._refusal(token)
        if piped is None and not arguments:
            return operand
        if piped is not None:
            arguments.append(piped)
        template = self._template

        def call(scope: Scope) -> Any:
            method = operand(scope)
            if not callable(method):
                raise template.failure(
                    token.position, token.text, f"can't give argument to non-function {token.text}"
                )
            return method(*(argument(scope) for argument in arguments))

        return call

    def _refusal(self, token: Token) -> Evaluate:
        def refuse(scope: Scope) -> Any:
            raise self._template.failure(token.position, "nil", "nil is not a command")

        return refuse

    def _arguments(self) -> list[Evaluate]:
        arguments = []
        while (token := self._peek()) is not None and token.kind not in ("|", ")"):
            arguments.append(self._operand())
        return arguments

    def _function(self, token: Token, piped: Evaluate | None) -> Evaluate:
        name = token.text
        if name not in FUNCTIONS and name not in _LOGIC:
            raise self._template.undefined(token)
        self._next += 1
        arguments = self._arguments()
        last = self._tokens[self._next - 1]
        if piped is not None:
            arguments.append(piped)
        template = self._template
        if name in _LOGIC:
            if not arguments:
                message = f"wrong number of args for {name}: want at least 1 got 0"
                raise template.failure(token.position, name, message)
            return _logic(name, arguments)
        text = template.source(token.position, last.position + len(last.text))

        def call(scope: Scope) -> Any:
            return template.call(name, token.position, [value(scope) for value in arguments], text)

        return call

    def _operand(self) -> Evaluate:
        token = self._peek()
        assert token is not None
        self._next += 1
        if token.kind == "(":
            inner = self._commands()
            closing = self._peek()
            if closing is None or closing.kind != ")":
                raise self._template.unexpected(closing or token, "parenthesized pipeline")
            self._next += 1
            return self._chain(inner, token, "")
        if token.kind == "field":
            if token.text == ".":
                return lambda scope: scope.dot
            return self._chain(lambda scope: scope.dot, token, token.text)
        if token.kind == "variable":
            self._template.declared(token)
            return self._chain(lambda scope: scope.variables[token.text], token, "")
        return self._constant(token)

    def _constant(self, token: Token) -> Evaluate:
        if token.kind in ("string", "raw"):
            text = unquote(token.text)
            return lambda scope: text
        if token.kind == "char":
            code = ord(unquote(token.text)[:1] or "\0")
            return lambda scope: code
        if token.kind == "number":
            return self._number(token)
        constants = {"true": True, "false": False, "nil": None}
        if token.text in constants:
            return lambda scope: constants[token.text]
        if token.text in FUNCTIONS:
            name, template = token.text, self._template
            return lambda scope: template.call(name, token.position, [])
        if token.kind == "word":
            raise self._template.undefined(token)
        raise self._template.unexpected(token, "operand")

    def _number(self, token: Token) -> Evaluate:
        text = token.text.replace("_", "")
        try:
            number: float = (
                int(text, 0) if text.lstrip("+-").isdigit() or "x" in text.lower() else float(text)
            )
        except ValueError:
            raise self._template._lexer.error(token.position, f'bad number syntax: "{token.text}"') from None
        return lambda scope: number

    def _chain(self, base: Evaluate, first: Token, leading: str) -> Evaluate:
        """Fields that follow without a space: `.A.B`, `$x.A`, `(…).A`."""
        keys = [leading[1:]] if leading else []
        text, position = first.text, first.position
        while (token := self._peek()) is not None and token.kind == "field" and not token.spaced:
            if token.text == ".":
                raise self._template.unexpected(token, "operand")
            if len(text) == len(first.text):
                position = token.position
            text += token.text
            keys.append(token.text[1:])
            self._next += 1
        if not keys:
            return base
        template = self._template

        def evaluate(scope: Scope) -> Any:
            value, parent = base(scope), ""
            for key in keys:
                value = template.field(value, key, position, text, parent or " ")
                parent = key
            return value() if callable(value) and self._is_plain(value) else value

        return evaluate

    @staticmethod
    def _is_plain(value: Any) -> bool:
        return bool(getattr(value, "takes_nothing", False))


def _logic(name: str, arguments: list[Evaluate]) -> Evaluate:
    """The first argument that settles it, or the last; those behind it are not evaluated."""
    settling = name == "or"

    def evaluate(scope: Scope) -> Any:
        value: Any = None
        for argument in arguments:
            value = argument(scope)
            if is_true(value) == settling:
                break
        return value

    return evaluate
