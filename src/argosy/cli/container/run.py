"""`argosy run`: create, attach, start, and leave with the container's exit code.

Detached, two requests on one connection are all there is.
"""

from __future__ import annotations

import os

from argosy.cli.container.create import create, prepare, refused
from argosy.cli.container.create_options import GENERAL, HIDDEN, WINDOWS
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create and run a new container from an image",
    f"""Options:
  -d, --detach                           Run it in the background and print its ID
      --detach-keys string               Override the key sequence that leaves it running
      --sig-proxy                        Pass signals on to it (default true){GENERAL}""",
    arguments=(1, None),
    interspersed=False,
    hidden=HIDDEN,
    windows=WINDOWS,
    also="argosy container run, argosy run",
)
NOT_FOUND, NOT_EXECUTABLE, ENGINE_FAILED = 127, 126, 125
_NOT_FOUND = (
    "executable file not found",
    "no such file or directory",
    "system cannot find the file specified",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    detach = options.on("detach")
    if detach and options.many("attach"):
        raise Failure("conflicting options: cannot specify both --attach and --detach")
    body = prepare(context, options, arguments, detach=detach)
    if body["AttachStdin"] and body["Tty"] and not os.isatty(0):
        raise Failure("the input device is not a TTY")
    try:
        container = create(context, options, body)
    except APIError as error:
        raise refused(context, f"argosy: {context.explain(error)}") from None
    except Failure as failure:
        raise refused(context, f"argosy: {failure.message}") from None
    if detach or not (body["AttachStdin"] or body["AttachStdout"] or body["AttachStderr"]):
        try:
            context.client.start_container(container)
        except APIError as error:
            raise _start_failed(context, error) from None
        print(container)
        return 0
    return _foreground(context, options, body, container)


def _foreground(context: Context, options: Options, body: Document, container: str) -> int:
    from argosy.cli.attaching import Attachment

    removed = bool(body["HostConfig"]["AutoRemove"])
    attachment = Attachment(
        context,
        container,
        tty=body["Tty"],
        stdin=body["AttachStdin"],
        stdout=body["AttachStdout"],
        stderr=body["AttachStderr"],
        detach_keys=options.text("detach-keys"),
    )
    attachment.watch("removed" if removed else "next-exit")
    if options.on("sig-proxy") and not body["Tty"]:
        attachment.proxy_signals()
    try:
        context.client.start_container(container)
    except APIError as error:
        attachment.abandon(removed=removed)
        raise _start_failed(context, error) from None
    return attachment.run()


def _start_failed(context: Context, error: APIError) -> Failure:
    text = error.message.lower()
    code = ENGINE_FAILED
    if any(words in text for words in _NOT_FOUND):
        code = NOT_FOUND
    elif "permission denied" in text or "is a directory" in text:
        code = NOT_EXECUTABLE
    return refused(context, f"argosy: {context.explain(error)}", code)
