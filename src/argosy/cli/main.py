"""`argosy`: find the command, import it alone, run it, and leave without ceremony."""

from __future__ import annotations

import gc
import os
import sys

from argosy.cli.failure import Failure, Help, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import NoReturn

    from argosy.cli.context import Where
    from argosy.cli.flags import Command, Options

GLOBAL_OPTIONS = """
  -c, --context string     The engine of a context (argosy context ls)
  -D, --debug              Show where in the program an error comes from
  -H, --host string        The engine's socket: unix:///path or tcp://host:port
      --config string      Folder of the client's configuration
  -l, --log-level string   Accepted for compatibility
      --tls                Use TLS
      --tlscacert string   Trust certs signed only by this CA (default "~/.docker/ca.pem")
      --tlscert string     TLS certificate of ours (default "~/.docker/cert.pem")
      --tlskey string      Its key (default "~/.docker/key.pem")
      --tlsverify          Use TLS and verify the engine
  -v, --version            Print the version and quit
"""
INTERRUPTED = 130
BROKEN_PIPE = 141


def main() -> NoReturn:
    """The program's entry. It skips the interpreter's teardown, which nothing here needs."""
    # Imports alone would set off several collections, of which none finds anything.
    gc.set_threshold(50_000)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = code or BROKEN_PIPE
    except OSError as error:
        sys.stderr.write(f"argosy: cannot write to stdout: {error.strerror}\n")
        code = code or 1
    sys.stderr.flush()
    os._exit(code)


def run(words: list[str]) -> int:
    """The exit code of a command line."""
    from argosy.client.errors import APIError, ConnectionFailed
    from argosy.errors import ArgosyError

    where: Where | None = None
    debug = False
    path = "argosy"
    try:
        if words and words[0] == "__complete":
            from argosy.cli.completion import complete

            return complete(words[1:])
        if words and words[0].startswith("-"):
            options, words = _global_options(words)
            debug = options.on("debug")
            if options.text("config"):
                os.environ["DOCKER_CONFIG"] = options.text("config")
            where = _where(options)
            if options.on("version"):
                from argosy import __version__

                print(f"Argosy version {__version__}")
                return 0
        path, module_name, words = _find(words)
        if not module_name:
            return 0
        return _call(path, module_name, words, where)
    except Failure as failure:
        sys.stdout.flush()
        if failure.message:
            sys.stderr.write(f"{failure.message}\n")
        return failure.code
    except APIError as error:
        from argosy.cli.context import Context

        sys.stdout.flush()
        Context(path, where).report(error)
        return 1
    except ConnectionFailed as failed:
        from argosy.cli.autostart import explain

        sys.stderr.write(f"{explain(failed)}\n")
        return 1
    except ArgosyError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        if debug:
            raise
        name = f" {error.filename}" if error.filename else ""
        sys.stderr.write(f"argosy:{name}: {error.strerror}\n" if name else f"argosy: {error.strerror}\n")
        return 1


def _where(options: Options) -> Where:
    from argosy.cli.context import Where

    host, context = options.text("host"), options.text("context")
    if host and context:
        raise Failure("conflicting options: cannot specify both --host and --context")

    def given(name: str) -> str:
        return options.text(name) if name in options.given else ""

    return Where(
        host,
        context,
        tls=options.on("tls"),
        verify=options.on("tlsverify"),
        authority=given("tlscacert"),
        certificate=given("tlscert"),
        key=given("tlskey"),
    )


def _call(path: str, module_name: str, words: list[str], where: Where | None) -> int:
    from argosy.cli.context import Context
    from argosy.cli.flags import Parser, check_arguments

    module = _load(module_name)
    command: Command = module.COMMAND
    try:
        options, arguments = Parser(command).parse(words)
        check_arguments(command, path, arguments)
    except Help:
        from argosy.cli.help import command_help

        print(command_help(path, command), end="")
        return 0
    except UsageError as error:
        raise _with_usage(error, path, command) from None
    context = Context(path, where)
    try:
        code: int = module.run(context, options, arguments)
    except UsageError as error:
        raise _with_usage(error, path, command) from None
    return code


def _with_usage(error: UsageError, path: str, command: Command) -> Failure:
    usage = f"{path} {command.usage}".rstrip()
    text = f"{error.message}\n\nUsage:  {usage}\n\n{error.hint} '{path} --help' for more information"
    return Failure(text, error.code)


def load_command(name: str) -> Command:
    """What a module below argosy.cli says about its command."""
    command: Command = _load(name).COMMAND
    return command


def _load(name: str) -> ModuleType:
    return __import__(f"argosy.cli.{name}", fromlist=("COMMAND",))


def _global_options(words: list[str]) -> tuple[Options, list[str]]:
    from argosy.cli.flags import Command, Parser

    command = Command("[OPTIONS] COMMAND [ARG...]", "", GLOBAL_OPTIONS, interspersed=False)
    try:
        return Parser(command).parse(words)
    except UsageError as error:
        raise _with_usage(error, "argosy", command) from None
    except Help:
        return Parser(command).parse([])


def _find(words: list[str]) -> tuple[str, str, list[str]]:
    """The command's full name, its module and its own words. Without a module, help was printed."""
    from argosy.cli import catalogue

    if words and words[0] == "help":
        words = [*words[1:], "--help"]
    if not words or words[0].startswith("-"):
        from argosy.cli.help import overview

        print(overview(GLOBAL_OPTIONS), end="")
        return "argosy", "", []
    noun, rest = words[0], words[1:]
    if noun in catalogue.TOP:
        return f"argosy {noun}", catalogue.TOP[noun][0], rest
    if noun not in catalogue.GROUPS:
        raise _unknown(noun, "argosy", [*catalogue.TOP, *catalogue.GROUPS])
    verbs = catalogue.GROUPS[noun]
    if not rest or rest[0] in ("--help", "-h"):
        from argosy.cli.help import group_help

        print(group_help(noun), end="", file=sys.stdout if rest else sys.stderr)
        return f"argosy {noun}", "", []
    verb, rest = rest[0], rest[1:]
    called = f"argosy {noun} {verb}"
    verb = catalogue.VERB_ALIASES.get((noun, verb), verb)
    if verb not in verbs:
        if verb.startswith("-"):
            raise Failure(
                f"unknown flag: {verb}\n\nUsage:  argosy {noun}\n\n"
                f"Run 'argosy {noun} --help' for more information",
                125,
            )
        raise _unknown(verb, f"argosy {noun}", list(verbs))
    return called, verbs[verb][0], rest


def _unknown(word: str, path: str, known: list[str]) -> Failure:
    from argosy.cli.suggest import near

    best = near(word, known)
    meant = f"\n\nDid you mean {' or '.join(repr(name) for name in best)}?" if best else ""
    return Failure(
        f"argosy: unknown command: {path} {word}{meant}\n\nRun '{path} --help' for more information"
    )


if __name__ == "__main__":
    main()
