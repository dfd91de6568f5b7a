"""Dockerfile instructions that change a configuration: `--change` of `docker commit` and `docker import`.

Only those that touch nothing but the configuration. Words are the shell's as far as a Dockerfile has
them: quotes, escapes, and variables, whose values come from the configuration's own environment.
"""

import posixpath
import re
from collections.abc import Callable, Sequence

import msgspec

from argosy.errors import InvalidParameter
from argosy.image.goformat import parse_duration
from argosy.spec.oci_image import Healthcheck, ImageConfig

_DEFAULT_SHELL = ["/bin/sh", "-c"]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]")
_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*|[0-9])(?:(:?[-+])(.*))?\Z", re.DOTALL)
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_FLAG = re.compile(r"--([a-z-]+)=(\S+)\s*")
_LAST_PORT = 65535

Environment = dict[str, str]


def apply_changes(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """Raises InvalidParameter."""
    command_set = False
    for change in changes:
        instructions = [_instruction(line) for line in _joined(change).splitlines()]
        given = [instruction for instruction in instructions if instruction[0]]
        if not given:
            raise InvalidParameter("file with no instructions")
        for name, rest in given:
            handler = _HANDLERS.get(name.lower())
            if handler is None:
                raise InvalidParameter(f"{name} is not a valid change command")
            config = handler(config, rest)
            if name.lower() == "entrypoint" and not command_set:
                # What the image ran by default was meant for another entry point.
                config = msgspec.structs.replace(config, cmd=None)
            command_set = command_set or name.lower() == "cmd"
    return config


def _joined(text: str) -> str:
    return re.sub(r"\\[ \t]*\n", "", text)


def _instruction(line: str) -> tuple[str, str]:
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return "", ""
    name, _, rest = stripped.partition(" ")
    return name, rest.strip()


def _cmd(config: ImageConfig, rest: str) -> ImageConfig:
    return msgspec.structs.replace(config, cmd=_command(config, rest))


def _entrypoint(config: ImageConfig, rest: str) -> ImageConfig:
    return msgspec.structs.replace(config, entrypoint=_command(config, rest))


def _env(config: ImageConfig, rest: str) -> ImageConfig:
    environment = _environment(config)
    environment |= dict(_pairs("ENV", rest, environment))
    return msgspec.structs.replace(config, env=[f"{name}={value}" for name, value in environment.items()])


def _label(config: ImageConfig, rest: str) -> ImageConfig:
    pairs = dict(_pairs("LABEL", rest, _environment(config)))
    return msgspec.structs.replace(config, labels={**(config.labels or {}), **pairs})


def _expose(config: ImageConfig, rest: str) -> ImageConfig:
    ports = dict(config.exposed_ports or {})
    for word in _some_words("EXPOSE", config, rest):
        ports.update({port: {} for port in _ports(word)})
    return msgspec.structs.replace(config, exposed_ports=ports)


def _user(config: ImageConfig, rest: str) -> ImageConfig:
    return msgspec.structs.replace(config, user=_one_word("USER", config, rest))


def _workdir(config: ImageConfig, rest: str) -> ImageConfig:
    path = _one_word("WORKDIR", config, rest)
    whole = posixpath.normpath(posixpath.join("/", config.working_dir, path))
    return msgspec.structs.replace(config, working_dir="/" + whole.lstrip("/"))


def _volume(config: ImageConfig, rest: str) -> ImageConfig:
    paths = _list(rest) or _some_words("VOLUME", config, rest)
    if not all(path.strip() for path in paths):
        raise InvalidParameter("VOLUME specified can not be an empty string")
    volumes = {**(config.volumes or {}), **{path: {} for path in paths}}
    return msgspec.structs.replace(config, volumes=volumes)


def _stopsignal(config: ImageConfig, rest: str) -> ImageConfig:
    return msgspec.structs.replace(config, stop_signal=_one_word("STOPSIGNAL", config, rest))


def _onbuild(config: ImageConfig, rest: str) -> ImageConfig:
    trigger = rest.partition(" ")[0].upper()
    if trigger in ("ONBUILD", "MAINTAINER", "FROM"):
        raise InvalidParameter(f"{trigger} isn't allowed as an ONBUILD trigger")
    if not rest:
        raise InvalidParameter("ONBUILD requires at least one argument")
    return msgspec.structs.replace(config, on_build=[*(config.on_build or []), rest])


def _healthcheck(config: ImageConfig, rest: str) -> ImageConfig:
    fields: dict[str, int] = {}
    while match := _FLAG.match(rest):
        name, value = match[1].replace("-", "_"), match[2]
        if name not in ("interval", "timeout", "start_period", "start_interval", "retries"):
            raise InvalidParameter(f"unknown flag: {match[1]}")
        try:
            fields[name] = int(value) if name == "retries" else parse_duration(value)
        except ValueError as error:
            raise InvalidParameter(str(error)) from None
        rest = rest[match.end() :]
    kind, _, command = rest.partition(" ")
    if kind.upper() == "NONE":
        return msgspec.structs.replace(config, healthcheck=Healthcheck(test=["NONE"]))
    if kind.upper() != "CMD" or not command.strip():
        raise InvalidParameter(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    words = _list(command.strip())
    test = ["CMD-SHELL", command.strip()] if words is None else ["CMD", *words]
    return msgspec.structs.replace(config, healthcheck=Healthcheck(test=test, **fields))


_HANDLERS: dict[str, Callable[[ImageConfig, str], ImageConfig]] = {
    "cmd": _cmd,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "healthcheck": _healthcheck,
    "label": _label,
    "onbuild": _onbuild,
    "stopsignal": _stopsignal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}


def _command(config: ImageConfig, rest: str) -> list[str]:
    words = _list(rest)
    if words is not None:
        return words
    return [*(config.shell or _DEFAULT_SHELL), rest] if rest else []


def _list(text: str) -> list[str] | None:
    """The JSON form, None if it is none: then it is the shell form."""
    if not text.startswith("["):
        return None
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        return None


def _ports(word: str) -> list[str]:
    match = _PORT.match(word)
    if match is None:
        raise InvalidParameter(f"Invalid containerPort: {word}")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last <= _LAST_PORT:
        raise InvalidParameter(f"Invalid containerPort: {word}")
    protocol = (match[3] or "tcp").lower()
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _environment(config: ImageConfig) -> Environment:
    pairs = (entry.partition("=") for entry in config.env or [])
    return {name: value for name, _, value in pairs}


def _one_word(instruction: str, config: ImageConfig, rest: str) -> str:
    if not rest:
        raise InvalidParameter(f"{instruction} requires exactly one argument")
    return _Words(rest, _environment(config)).value()


def _some_words(instruction: str, config: ImageConfig, rest: str) -> list[str]:
    if not rest:
        raise InvalidParameter(f"{instruction} requires at least one argument")
    return _Words(rest, _environment(config)).all()


def _pairs(instruction: str, rest: str, environment: Environment) -> list[tuple[str, str]]:
    """`a=b c="d e"`, or the old `a everything else`."""
    if not rest:
        raise InvalidParameter(f"{instruction} requires at least one argument")
    first = rest.split(None, 1)
    if "=" not in first[0]:
        if len(first) < 2:
            raise InvalidParameter(f"{instruction} must have two arguments")
        return [(first[0], _Words(first[1], environment).value())]
    pairs = []
    for word in _Words(rest, environment).all():
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidParameter(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value"
            )
        if not name:
            raise InvalidParameter(f"{instruction} names can not be blank")
        pairs.append((name, value))
    return pairs


class _Words:
    """A line read as a shell would: quotes taken off, variables put in."""

    def __init__(self, text: str, environment: Environment) -> None:
        self._text = text
        self._position = 0
        self._environment = environment

    def value(self) -> str:
        """The whole line as one word."""
        return self._word(stop="")

    def all(self) -> list[str]:
        words = []
        while self._position < len(self._text):
            if self._text[self._position] in " \t":
                self._position += 1
            else:
                words.append(self._word(stop=" \t"))
        return words

    def _word(self, stop: str) -> str:
        result = ""
        while self._position < len(self._text) and self._text[self._position] not in (stop or "\0"):
            character = self._text[self._position]
            self._position += 1
            if character == "'":
                result += self._until("'")
            elif character == '"':
                result += self._double_quoted()
            elif character == "\\" and self._position < len(self._text):
                result += self._text[self._position]
                self._position += 1
            elif character == "$":
                result += self._variable()
            else:
                result += character
        return result

    def _until(self, quote: str) -> str:
        end = self._text.find(quote, self._position)
        if end < 0:
            raise InvalidParameter("unexpected end of statement while looking for matching quote")
        text = self._text[self._position : end]
        self._position = end + 1
        return text

    def _double_quoted(self) -> str:
        result = ""
        while True:
            if self._position >= len(self._text):
                raise InvalidParameter("unexpected end of statement while looking for matching double-quote")
            character = self._text[self._position]
            self._position += 1
            if character == '"':
                return result
            if character == "$":
                result += self._variable()
            elif character == "\\" and self._text[self._position : self._position + 1] in ('"', "$", "\\"):
                result += self._text[self._position]
                self._position += 1
            else:
                result += character

    def _variable(self) -> str:
        if self._text[self._position : self._position + 1] == "{":
            self._position += 1
            return self._braced(self._until("}"))
        match = _NAME.match(self._text, self._position)
        if match is None:
            return "$"
        self._position = match.end()
        return self._environment.get(match[0], "")

    def _braced(self, inside: str) -> str:
        match = _BRACED.match(inside)
        if match is None:
            raise InvalidParameter("syntax error: bad substitution")
        value = self._environment.get(match[1])
        operator, word = match[2] or "", match[3] or ""
        present = value is not None and (bool(value) or not operator.startswith(":"))
        if operator.endswith("-"):
            return value or "" if present else _Words(word, self._environment).value()
        if operator.endswith("+"):
            return _Words(word, self._environment).value() if present else ""
        return value or ""
