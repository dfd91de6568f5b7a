"""`argosy start`."""

from __future__ import annotations

import os

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Start one or more stopped containers",
    """
  -a, --attach               Attach its output, and pass signals on
      --detach-keys string   Override the key sequence that leaves it running
  -i, --interactive          Attach stdin
""",
    arguments=(1, None),
    also="argosy container start, argosy start",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    if options.on("attach") or options.on("interactive"):
        if len(arguments) > 1:
            raise Failure("you cannot start and attach multiple containers at once")
        return _attached(context, options, arguments[0])
    from argosy.client.docker import quote

    paths = [f"/containers/{quote(name)}/start" for name in arguments]
    failed = []
    for name, error in zip(arguments, context.client.each("POST", paths), strict=True):
        if error is None:
            print(name)
        else:
            context.report(error)
            failed.append(name)
    if failed:
        raise Failure(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def _attached(context: Context, options: Options, name: str) -> int:
    from argosy.cli.attaching import Attachment

    document = context.client.inspect_container(name)
    config = document["Config"]
    tty, stdin = bool(config["Tty"]), options.on("interactive") and bool(config["OpenStdin"])
    if tty and stdin and not os.isatty(0):
        raise Failure("the input device is not a TTY")
    attachment = Attachment(
        context, document["Id"], tty=tty, stdin=stdin, detach_keys=options.text("detach-keys")
    )
    attachment.watch("removed" if document["HostConfig"]["AutoRemove"] else "next-exit")
    if not tty:
        attachment.proxy_signals()
    try:
        context.client.start_container(document["Id"])
    except APIError as error:
        attachment.abandon()
        raise Failure(context.explain(error)) from None
    return attachment.run()
