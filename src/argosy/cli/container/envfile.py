"""Environment variables and labels, from the command line and from files of `NAME=VALUE` lines."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WHITESPACE = " \t\n\v\f\r"


def environment(files: Iterable[str], given: Iterable[str]) -> list[str]:
    """Those of the files, then the given ones, of which the last of a name is left."""
    lines = [line for path in files for line in read_file(path, os.environ.get)]
    last = {text.partition("=")[0]: variable(text) for text in given}
    return [*lines, *last.values()]


def labels(files: Iterable[str], given: Iterable[str]) -> dict[str, str]:
    lines = [line for path in files for line in read_file(path, lambda name: None)]
    pairs = (line.partition("=") for line in (*lines, *given))
    return {key: value for key, _, value in pairs}


def variable(text: str) -> str:
    """`NAME` alone takes the client's value; without one it unsets the image's."""
    if "=" in text:
        return text
    value = os.environ.get(text)
    return text if value is None else f"{text}={value}"


def read_file(path: str, lookup: Callable[[str], str | None]) -> list[str]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except IsADirectoryError:
        raise ValueError(f"invalid env file ({path}): read {path}: is a directory") from None
    except OSError as error:
        raise ValueError(f"open {path}: {(error.strerror or '').lower()}") from None
    result = []
    for number, raw in enumerate(content.split(b"\n"), 1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            line = raw.removesuffix(b"\r").decode()
        except UnicodeDecodeError:
            raise ValueError(
                f"invalid env file ({path}): invalid utf8 bytes at line {number}: {raw!r}"
            ) from None
        line = line.lstrip(_WHITESPACE)
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name:
            raise ValueError(f"invalid env file ({path}): no variable name on line '{line}'")
        if any(sign in _WHITESPACE for sign in name):
            raise ValueError(f"invalid env file ({path}): variable '{name}' contains whitespaces")
        if equals:
            result.append(f"{name}={value}")
        elif (found := lookup(name)) is not None:
            result.append(f"{name}={found}")
    return result
