"""The manual: a page for each command, made of what its parser works from (man(7)).

`python -m argosy.cli.manual DIRECTORY` writes all of them; the wheel carries them.
"""

from __future__ import annotations

import os
import sys

from argosy import __version__
from argosy.cli import catalogue
from argosy.cli.help import examples_of
from argosy.cli.main import GLOBAL_OPTIONS, load_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from argosy.cli.flags import Command

# What is indented as far as this goes on with the description above it.
_CONTINUATION = 12


def pages() -> Iterator[tuple[str, str]]:
    """(file name, page)."""
    yield "argosy.1", _overview()
    for name, (module, _) in catalogue.TOP.items():
        yield f"argosy-{name}.1", _command_page(f"argosy {name}", load_command(module))
    shown = {module: name for name, (module, _) in catalogue.TOP.items()}
    for noun, verbs in catalogue.GROUPS.items():
        yield f"argosy-{noun}.1", _group_page(noun)
        for verb, (module, _) in verbs.items():
            same = shown.get(module)
            page = (
                f".so man1/argosy-{same}.1\n"
                if same
                else _command_page(f"argosy {noun} {verb}", load_command(module))
            )
            yield f"argosy-{noun}-{verb}.1", page


def _command_page(path: str, command: Command) -> str:
    usage = _text(command.usage.expandtabs())
    lines = [*_head(path, command.summary), ".SH SYNOPSIS", f".B {_text(path)}", usage]
    lines += [".SH DESCRIPTION", _text(command.summary) + "."]
    if command.notes:
        lines += [".PP", ".nf", *[_text(line) for line in command.notes.strip("\n").splitlines()], ".fi"]
    if command.options.strip():
        lines += [".SH OPTIONS", *_options(command.options)]
    if command.also:
        lines += [".SH ALIASES", _text(command.also)]
    shown = examples_of(path, command)
    if shown:
        lines.append(".SH EXAMPLES")
    for line, meaning in shown:
        lines += [".TP", f".B {_text(line)}", _text(meaning[:1].upper() + meaning[1:]) + "."]
    lines += [".SH SEE ALSO", ".BR argosy (1)"]
    return "\n".join(line for line in lines if line) + "\n"


def _group_page(noun: str) -> str:
    summary = catalogue.GROUP_SUMMARIES[noun]
    lines = [*_head(f"argosy {noun}", summary), ".SH SYNOPSIS", f".B {_text(f'argosy {noun}')}", "COMMAND"]
    lines += [".SH COMMANDS", *_list(f"argosy-{noun}-", catalogue.GROUPS[noun])]
    return "\n".join(lines) + "\n"


def _overview() -> str:
    lines = [*_head("argosy", "A container engine for Linux"), ".SH SYNOPSIS", ".B argosy"]
    lines += ["[OPTIONS] COMMAND", ".SH DESCRIPTION", "Argosy builds images and runs containers of them."]
    lines += ["Its commands are those of Docker; so are the options of each."]
    lines += [".SH COMMANDS", *_list("argosy-", catalogue.TOP)]
    groups = {name: ("", summary) for name, summary in catalogue.GROUP_SUMMARIES.items()}
    lines += [".SH GROUPS OF COMMANDS", *_list("argosy-", groups)]
    lines += [".SH OPTIONS", *_options(GLOBAL_OPTIONS), ".SH ENVIRONMENT"]
    for name, meaning in (
        ("ARGOSY_HOST, DOCKER_HOST", "The engine's socket, as with --host."),
        ("DOCKER_CONFIG", "The folder of config.json, where registry logins are; ~/.docker by default."),
        ("DOCKER_TLS_VERIFY, DOCKER_CERT_PATH", "Use TLS, with the certificates of this folder."),
    ):
        lines += [".TP", f".B {_text(name)}", _text(meaning)]
    return "\n".join(lines) + "\n"


def _head(path: str, summary: str) -> list[str]:
    name = path.replace(" ", "-")
    return [
        f'.TH {name.upper()} 1 "" "Argosy {__version__}" "Argosy manual"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(summary[:1].lower() + summary[1:])}",
    ]


def _list(prefix: str, commands: dict[str, tuple[str, str]]) -> list[str]:
    lines = []
    for name, (_, summary) in sorted(commands.items()):
        lines += [".TP", f".BR {_text(prefix + name)} (1)", _text(summary) + "."]
    return lines


def _options(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.strip("\n").splitlines():
        stripped = line.strip()
        if stripped.startswith("-"):
            head, _, description = stripped.partition("  ")
            lines += [".TP", _option(head), _text(description.strip())]
        elif len(line) - len(line.lstrip()) >= _CONTINUATION:
            lines.append(_text(stripped))
        elif stripped and stripped != "Options:":
            lines += [".SS", _text(stripped.rstrip(":"))] if stripped.endswith(":") else [_text(stripped)]
    return _joined_headings(lines)


def _joined_headings(lines: list[str]) -> list[str]:
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1] == ".SS":
            joined[-1] = f".SS {line}"
        elif line:
            joined.append(line)
    return joined


def _option(head: str) -> str:
    """`-e, --env list` with the names in bold and the value's kind in italics."""
    words = []
    for word in head.split():
        name = word.rstrip(",")
        style = "B" if name.startswith("-") else "I"
        words.append(f"\\f{style}{_text(name)}\\fR" + word[len(name) :])
    return " ".join(words)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def main(directory: str) -> None:
    os.makedirs(directory, exist_ok=True)
    for name, page in pages():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(page)


if __name__ == "__main__":
    main(sys.argv[1])
