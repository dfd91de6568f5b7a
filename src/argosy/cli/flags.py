"""Command lines, read as Go's pflag and cobra read Docker's.

A command's options are written as the text of its help, and that text is what the parser works from:

    -e, --env list    Set environment variables
        --rm          Remove the container when it exits

A name without a type is a switch. `list` repeats, `strings` also splits at commas, and the other words name
the value's kind (see `values`). Defaults other than the empty ones stand at the end, as `(default true)`.
Anything not beginning with a dash is a heading, or goes on with the description above it.
"""

from __future__ import annotations

from argosy.cli.failure import Failure, Help, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_REPEATED = frozenset(
    "list strings filter map mount network ulimit variable label stream host address sysctl weight domain"
    " device-rule gpus bps iops link pairs".split()
)
_NUMBERS = frozenset(("int", "uint16", "bytes", "swap", "decimal", "duration"))


class Flag:
    __slots__ = ("default", "kind", "name", "short")

    def __init__(self, name: str, short: str, kind: str, default: Any) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.default = default

    def __str__(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Command:
    """What a command is called, takes and says about itself."""

    def __init__(
        self,
        usage: str,
        summary: str,
        options: str = "",
        *,
        arguments: tuple[int, int | None] = (0, 0),
        interspersed: bool = True,
        hidden: Mapping[str, str] | None = None,
        also: str = "",
        notes: str = "",
        windows: str = "",
    ) -> None:
        """`arguments`: how few and how many. `hidden`: further names of options. `also`: its aliases.

        `windows`: options that only an engine there would take.
        """
        self.usage = usage
        self.summary = summary
        self.options = options
        self.arguments = arguments
        self.interspersed = interspersed
        self.hidden = hidden or {}
        self.also = also
        self.notes = notes
        self.windows = windows


class Options:
    """The parsed options by name; each getter promises its type."""

    def __init__(self, values: dict[str, Any], given: set[str]) -> None:
        self._values = values
        self.given = given

    def on(self, name: str) -> bool:
        return bool(self._values[name])

    def text(self, name: str) -> str:
        return str(self._values[name])

    def many(self, name: str) -> list[str]:
        return list(self._values[name])

    def number(self, name: str) -> int:
        return int(self._values[name])

    def pairs(self, name: str) -> dict[str, str]:
        """Of an option whose every value was parsed into pairs."""
        return dict(self._values[name])

    def values(self, name: str) -> list[dict[str, Any]]:
        """Of an option whose every value was parsed into a mapping."""
        return list(self._values[name])


def read_flags(text: str) -> dict[str, Flag]:
    flags = {}
    for line in text.splitlines():
        line = line.strip()
        if not line.startswith("-"):
            continue
        head, _, description = line.partition("  ")
        words = head.split()
        short = words.pop(0)[1] if words[0].endswith(",") else ""
        name = words[0][2:]
        kind = words[1] if len(words) > 1 else "bool"
        flags[name] = Flag(name, short, kind, _default(kind, description))
    return flags


def _default(kind: str, description: str) -> Any:
    if kind in _REPEATED:
        return []
    stated = ""
    if description.endswith(")"):
        stated = description.rpartition("(default ")[2][:-1] if "(default " in description else ""
    if kind == "bool":
        return stated == "true"
    if kind in _NUMBERS:
        return int(stated) if stated and kind == "int" else 0
    return stated.strip('"')


class Parser:
    def __init__(self, command: Command) -> None:
        self.command = command
        self._foreign = read_flags(command.windows)
        self.flags = read_flags(command.options) | self._foreign
        self._shorts = {flag.short: flag for flag in self.flags.values() if flag.short}
        self._values: dict[str, Any] = {name: flag.default for name, flag in self.flags.items()}
        self._given: set[str] = set()

    def parse(self, words: list[str]) -> tuple[Options, list[str]]:
        """Raises UsageError, and Help when help is asked for."""
        rest = list(words)
        positional: list[str] = []
        while rest:
            word = rest.pop(0)
            if word == "--":
                positional += rest
                break
            if word.startswith("--"):
                self._long(word[2:], rest)
            elif word.startswith("-") and word != "-":
                self._cluster(word[1:], rest)
            else:
                positional.append(word)
                if not self.command.interspersed:
                    positional += rest
                    break
        self._refuse_foreign()
        return Options(self._values, self._given), positional

    def _refuse_foreign(self) -> None:
        if foreign := sorted(self._given & self._foreign.keys()):
            raise Failure(
                "\n".join(
                    f'"--{name}" is only supported on a Docker daemon running on windows, '
                    "but the Docker daemon is running on linux"
                    for name in foreign
                )
            )

    def _long(self, text: str, rest: list[str]) -> None:
        name, equals, value = text.partition("=")
        if not name or name.startswith("-"):
            raise UsageError(f"bad flag syntax: --{text}")
        flag = self.flags.get(self.command.hidden.get(name, name))
        if flag is None:
            if name == "help":
                raise Help
            from argosy.cli.suggest import long_flag

            raise UsageError(f"unknown flag: --{name}{long_flag(name, self.flags.keys() - self._foreign)}")
        if equals:
            self._set(flag, value)
        elif flag.kind == "bool":
            self._set(flag, "true")
        elif rest:
            self._set(flag, rest.pop(0))
        else:
            raise UsageError(f"flag needs an argument: --{name}")

    def _cluster(self, text: str, rest: list[str]) -> None:
        shorts = text
        while shorts:
            letter, shorts = shorts[0], shorts[1:]
            flag = self._shorts.get(letter)
            if flag is None:
                if letter == "h":
                    raise Help
                from argosy.cli.suggest import short_flag

                raise UsageError(
                    f"unknown shorthand flag: '{letter}' in -{letter}{shorts}{short_flag(text, self.flags)}"
                )
            if shorts.startswith("=") and len(shorts) > 1:
                self._set(flag, shorts[1:])
                return
            if flag.kind == "bool":
                self._set(flag, "true")
                continue
            if shorts:
                self._set(flag, shorts)
            elif rest:
                self._set(flag, rest.pop(0))
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{text}")
            return

    def _set(self, flag: Flag, text: str) -> None:
        try:
            value = self._value(flag, text)
        except ValueError as error:
            raise UsageError(
                f"invalid argument {_quoted(text)} for {_quoted(str(flag))} flag: {error}"
            ) from None
        if flag.kind in _REPEATED:
            previous = self._values[flag.name] if flag.name in self._given else []
            value = previous + (value if isinstance(value, list) else [value])
        self._values[flag.name] = value
        self._given.add(flag.name)

    @staticmethod
    def _value(flag: Flag, text: str) -> Any:
        if flag.kind == "bool":
            if text in _TRUE:
                return True
            if text in _FALSE:
                return False
            raise ValueError(f"strconv.ParseBool: parsing {_quoted(text)}: invalid syntax")
        if flag.kind in ("string", "list"):
            return text
        from argosy.cli.values import parse

        return parse(flag.kind, text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def check_arguments(command: Command, path: str, words: list[str]) -> None:
    """Docker's complaint about too few or too many arguments."""
    fewest, most = command.arguments
    if fewest <= len(words) and (most is None or len(words) <= most):
        return
    if most == 0:
        raise UsageError(f"argosy: '{path}' accepts no arguments", code=1)
    if most is None:
        wanted, hint = f"at least {fewest}", "See"
    elif fewest == most:
        wanted, hint = str(fewest), "Run"
    elif fewest:
        wanted, hint = f"at least {fewest} and at most {most}", "Run"
    else:
        wanted, hint = f"at most {most}", "Run"
    count = fewest if most is None else most
    plural = "" if count == 1 else "s"
    raise UsageError(f"argosy: '{path}' requires {wanted} argument{plural}", code=1, hint=hint)
