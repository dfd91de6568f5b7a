"""`argosy exec`."""

from __future__ import annotations

import os

from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    "Execute a command in a running container",
    """
  -d, --detach               Run the command in the background
      --detach-keys string   Override the key sequence that leaves the command running
  -e, --env variable         Set an environment variable: NAME=VALUE, or NAME for the client's own value
      --env-file list        Read environment variables from a file
  -i, --interactive          Keep stdin open
      --privileged           Give the command extended privileges
  -t, --tty                  Allocate a terminal
  -u, --user string          User and group: <name|uid>[:<group|gid>]
  -w, --workdir string       Working directory inside the container
""",
    arguments=(2, None),
    interspersed=False,
    also="argosy container exec, argosy exec",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    container, command = arguments[0], arguments[1:]
    detach, tty, stdin = options.on("detach"), options.on("tty"), options.on("interactive")
    if stdin and tty and not detach and not os.isatty(0):
        # Docker names a missing container before it complains of the terminal.
        context.client.inspect_container(container)
        raise Failure("the input device is not a TTY")
    document = _document(options, command)
    exec_id = context.client.create_exec(container, document)
    if detach:
        context.client.start_exec(exec_id, {"Detach": True, "Tty": tty})
        return 0
    return _attached(context, exec_id, options, document)


def _document(options: Options, command: list[str]) -> Document:
    document: Document = {"AttachStdout": True, "AttachStderr": True, "Cmd": command}
    if options.on("detach"):
        document.update(AttachStdout=False, AttachStderr=False, Detach=True)
    elif options.on("interactive"):
        document["AttachStdin"] = True
    if options.on("tty"):
        document["Tty"] = True
    if options.on("privileged"):
        document["Privileged"] = True
    for option, key in (("user", "User"), ("workdir", "WorkingDir"), ("detach-keys", "DetachKeys")):
        if options.text(option):
            document[key] = options.text(option)
    if options.many("env") or options.many("env-file"):
        from argosy.cli.container.envfile import environment

        try:
            document["Env"] = environment(options.many("env-file"), options.many("env"))
        except ValueError as error:
            raise Failure(str(error)) from None
    if options.on("tty") and not options.on("detach"):
        from argosy.cli import terminal

        size = terminal.size(1)
        if size is not None:
            document["ConsoleSize"] = list(size)
    return document


def _attached(context: Context, exec_id: str, options: Options, document: Document) -> int:
    from argosy.cli.session import Session

    client = context.client
    tty, stdin = options.on("tty"), options.on("interactive")
    start: Document = {"Detach": False, "Tty": tty}
    if "ConsoleSize" in document:
        start["ConsoleSize"] = document["ConsoleSize"]
    stream, rest = client.attach_exec(exec_id, start)
    keys = b""
    if tty and stdin:
        from argosy.cli.detach import parse_keys

        keys = parse_keys(options.text("detach-keys"))
    session = Session(stream, rest, tty=tty, stdin=stdin, detach_keys=keys)
    if tty:
        from argosy.cli.foreground import with_terminal

        ended = with_terminal(
            session, stdin, lambda rows, columns: client.resize_exec(exec_id, rows, columns)
        )
    else:
        ended = session.run()
    stream.close()
    if not ended:
        raise Failure("read escape sequence")
    return int(client.inspect_exec(exec_id).get("ExitCode") or 0)
