"""`argosy attach`."""

from __future__ import annotations

import os

from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    "Attach local standard input, output, and error streams to a running container",
    """
      --detach-keys string   Override the key sequence that leaves it running
      --no-stdin             Do not attach stdin
      --sig-proxy            Pass signals on to it (default true)
""",
    arguments=(1, 1),
    also="argosy container attach, argosy attach",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.cli.attaching import Attachment

    document = context.client.inspect_container(arguments[0])
    state, config = document["State"], document["Config"]
    if not state["Running"]:
        raise Failure("cannot attach to a stopped container, start it first")
    if state["Paused"]:
        raise Failure("cannot attach to a paused container, unpause it first")
    if state["Restarting"]:
        raise Failure("cannot attach to a restarting container, wait until it is running")
    tty, stdin = bool(config["Tty"]), not options.on("no-stdin") and bool(config["OpenStdin"])
    if tty and stdin and not os.isatty(0):
        raise Failure("the input device is not a TTY")
    container = document["Id"]
    attachment = Attachment(context, container, tty=tty, stdin=stdin, detach_keys=options.text("detach-keys"))
    attachment.watch("")
    if options.on("sig-proxy") and not tty:
        attachment.proxy_signals()
    return attachment.run(detached="read escape sequence", redraw=True)
