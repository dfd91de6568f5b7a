"""RUN --mount: what is asked for, with the defaults that the Dockerfile reference documents.

A mount's options are comma-separated `key=value` fields. Variables in the values are replaced (but not
in `from`), so most of the options can only be judged when the instruction's turn has come.
"""

import posixpath
import re
from dataclasses import dataclass
from typing import Protocol

from argosy.build.complain import DockerfileError, did_you_mean
from argosy.build.flags import boolean
from argosy.build.words import quoted
from argosy.units import parse_bytes

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_WITH_OWNER = ("cache", "secret", "ssh")
_KEYS = (
    "type from source src target dst destination readonly ro readwrite rw "
    "id sharing required size mode uid gid env"
).split()
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(?:,|\Z)')
_MODES = {"cache": 0o755, "secret": 0o400, "ssh": 0o600}


class Expands(Protocol):
    def word(self, text: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Mount:
    """None and the empty text are what was not given; see the properties for what that means."""

    type: str = "bind"
    source: str = ""
    target: str = ""
    from_: str = ""
    """A stage's name or number, a named context or an image; empty: the build context (bind) or nothing."""
    read_only: bool = True
    id: str = ""
    sharing: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    required: bool = False
    env: str | None = None

    def destination(self, workdir: str, number: int = 0) -> str:
        """Where in the container; empty for a secret that is only a variable. `number` counts ssh mounts."""
        target = self.target
        if not target and self.type == "secret":
            return "" if self.env is not None else f"/run/secrets/{posixpath.basename(self.secret_id)}"
        if not target and self.type == "ssh":
            return f"/run/buildkit/ssh_agent.{number}"
        path = posixpath.normpath(posixpath.join("/", workdir, target))
        path = "/" + path.lstrip("/")
        if path == "/":
            raise DockerfileError('invalid mount target "/"', hint="Say where to mount it: target=/path")
        return path

    @property
    def secret_id(self) -> str:
        return self.source or self.id or posixpath.basename(self.target)

    @property
    def ssh_id(self) -> str:
        return self.id or "default"

    @property
    def cache_id(self) -> str:
        return self.id or posixpath.normpath(self.target)

    @property
    def cache_sharing(self) -> str:
        return self.sharing or "shared"

    @property
    def permissions(self) -> int:
        return _MODES.get(self.type, 0o755) if self.mode is None else self.mode


def check(options: str) -> None:
    """What can be told before the variables are known. Raises DockerfileError."""
    for field in _fields(options):
        key, equals, value = field.partition("=")
        if equals and key.lower() == "from" and re.search(r"\$.", value):
            raise DockerfileError(
                f"'{key.lower()}' doesn't support variable expansion, define alias stage instead",
                hint="FROM $image AS base, and then from=base",
            )


def parse(options: str, variables: Expands) -> Mount:
    """Raises DockerfileError."""
    reader = _Reader()
    for field in _fields(options):
        key, equals, value = field.partition("=")
        if equals:
            reader.take(key.lower(), variables.word(value), field)
        else:
            reader.take_alone(key.lower(), field)
    return reader.mount()


def _fields(options: str) -> list[str]:
    """The first line of a CSV, as Go's reader takes it."""
    if not options:
        raise DockerfileError("failed to parse csv mounts: EOF")
    fields: list[str] = []
    position = 0
    while position < len(options) or options[position - 1] == ",":
        match = _FIELD.match(options, position)
        if match is None:
            raise DockerfileError(
                f'failed to parse csv mounts: parse error on line 1, column {position + 1}: bare " in field'
            )
        fields.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        position = match.end()
        if position == len(options) and options[-1] != ",":
            break
        if position == len(options):
            fields.append("")
            break
    return fields


class _Reader:
    """Takes the options in their order; `required` and `size` need the type before them."""

    def __init__(self) -> None:
        self._type = "bind"
        self._texts: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._read_only: bool | None = None
        self._required = False
        self._size = 0
        self._env: str | None = None

    def take_alone(self, key: str, field: str) -> None:
        if key in ("readonly", "ro", "readwrite", "rw"):
            self._read_only = key in ("readonly", "ro")
        elif key == "required":
            self._only_for(key, "secret", "ssh")
            self._required = True
        else:
            raise DockerfileError(f"invalid field '{field}' must be a key=value pair")

    def take(self, key: str, value: str, field: str) -> None:
        match key:
            case "type":
                self._type = _one_of("mount type", value, _TYPES)
            case "from" | "id":
                self._texts[key] = value
            case "source" | "src":
                self._texts["source"] = value
            case "target" | "dst" | "destination":
                self._texts["target"] = value
            case "readonly" | "ro":
                self._read_only = _truth(key, value)
            case "readwrite" | "rw":
                self._read_only = not _truth(key, value)
            case "required":
                self._only_for(key, "secret", "ssh")
                self._required = _truth(key, value)
            case "size":
                self._only_for(key, "tmpfs")
                self._size = _bytes(key, value)
            case "sharing":
                self._texts[key] = _one_of("sharing value", value, _SHARING)
            case "mode":
                self._numbers[key] = _number(key, value, 8)
            case "uid" | "gid":
                self._numbers[key] = _number(key, value, 10)
            case "env":
                self._env = value
            case _:
                raise DockerfileError(f"unexpected key '{key}' in '{field}'{did_you_mean(key, _KEYS)}")

    def mount(self) -> Mount:
        self._check()
        read_only = self._read_only
        if read_only is None:
            read_only = self._type not in ("cache", "tmpfs")
        return Mount(
            type=self._type,
            source=self._texts.get("source", ""),
            target=self._texts.get("target", ""),
            from_=self._texts.get("from", ""),
            read_only=read_only,
            id=self._texts.get("id", ""),
            sharing=self._texts.get("sharing", ""),
            mode=self._numbers.get("mode"),
            uid=self._numbers.get("uid"),
            gid=self._numbers.get("gid"),
            size=self._size,
            required=self._required,
            env=self._env,
        )

    def _only_for(self, key: str, *types: str) -> None:
        if self._type not in types:
            raise DockerfileError(
                f"unexpected key '{key}' for mount type '{self._type}'",
                hint=f"{key} is for {' and '.join(types)} mounts; write type=… before it",
            )

    def _check(self) -> None:
        given = self._texts
        if self._type not in _WITH_OWNER:
            for key in self._numbers:
                raise DockerfileError(f"{key} not allowed for {quoted(self._type)} type mounts")
        if self._type == "secret":
            if given.get("from"):
                raise DockerfileError("secret mount should not have a from")
            if given.get("sharing"):
                raise DockerfileError("secret mount should not define sharing")
            if not (given.get("source") or given.get("target") or given.get("id")):
                raise DockerfileError("invalid secret mount. one of source, target required")
            if given.get("source") and given.get("id"):
                raise DockerfileError("both source and id can't be set")
        if given.get("sharing") and self._type != "cache":
            raise DockerfileError(f"invalid cache sharing set for {self._type} mount")


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> str:
    if value.lower() not in allowed:
        raise DockerfileError(f"unsupported {what} {quoted(value)}{did_you_mean(value, allowed)}")
    return value.lower()


def _truth(key: str, value: str) -> bool:
    truth = boolean(value)
    if truth is None:
        raise DockerfileError(f"invalid value for {key}: {value}")
    return truth


def _bytes(key: str, value: str) -> int:
    try:
        return parse_bytes(value)
    except ValueError:
        raise DockerfileError(f"invalid value for {key}: {value}") from None


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or len(value) > 12 or value.strip(digits) or int(value, base) >= 1 << 32:
        raise DockerfileError(f"invalid value {value} for {key}")
    return int(value, base)
