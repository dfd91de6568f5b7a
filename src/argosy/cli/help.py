"""The text of `--help`."""

from __future__ import annotations

from argosy.cli import catalogue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.flags import Command


_EXAMPLES = """\
  argosy run -p 5000:80 -d --rm nginx   a web server at port 5000, in the background
  argosy run -it --rm debian bash       a shell in a container that goes when you leave it
  argosy exec -it NAME sh               a shell in a container that runs
  argosy logs -f NAME                   what it writes, as it writes it"""


def command_help(path: str, command: Command) -> str:
    parts = [f"Usage:  {path} {command.usage}".rstrip(), command.summary]
    if command.notes:
        parts.append(command.notes.strip("\n"))
    if command.also:
        parts.append(f"Aliases:\n  {command.also}")
    options = command.options.strip("\n")
    if options:
        parts.append(options if options.lstrip()[0] != "-" else f"Options:\n{options}")
    shown = examples_of(path, command)
    if shown:
        width = max(len(line) for line, _ in shown)
        lines = [f"  {line:<{width}}   {meaning}" for line, meaning in shown]
        parts.append("Examples:\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def examples_of(path: str, command: Command) -> tuple[tuple[str, str], ...]:
    """A command goes by several names; its examples by the last that it says it has."""
    from argosy.cli.examples import EXAMPLES

    name = command.also.split(", ")[-1] or path
    return EXAMPLES.get(name.removeprefix("argosy "), ())


def group_help(noun: str) -> str:
    verbs = {verb: summary for verb, (_, summary) in sorted(catalogue.GROUPS[noun].items())}
    return (
        f"Usage:  argosy {noun} COMMAND\n\n{catalogue.GROUP_SUMMARIES[noun]}\n\nCommands:\n"
        f"{_lines(verbs)}\n\nRun 'argosy {noun} COMMAND --help' for more information on a command.\n"
    )


def overview(global_options: str) -> str:
    common = {verb: catalogue.TOP[verb][1] for verb in catalogue.COMMON}
    rest = {verb: summary for verb, (_, summary) in catalogue.TOP.items() if verb not in common}
    return (
        "Usage:  argosy [OPTIONS] COMMAND\n\nA container engine for Linux\n\n"
        f"Examples:\n{_EXAMPLES}\n\n"
        f"Common Commands:\n{_lines(common)}\n\n"
        f"Management Commands:\n{_lines(catalogue.GROUP_SUMMARIES)}\n\n"
        f"Commands:\n{_lines(rest)}\n\n"
        f"Global Options:\n{global_options.strip(chr(10))}\n\n"
        "Run 'argosy COMMAND --help' for more information on a command.\n"
    )


def _lines(summaries: dict[str, str]) -> str:
    return "\n".join(f"  {name:<11} {summary}" for name, summary in summaries.items())
