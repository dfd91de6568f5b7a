"""`argosy logs`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    "Fetch the logs of a container",
    """
      --details        Show the labels and variables that the log driver was told to add
  -f, --follow         Go on with what is written from now on
      --since string   Only what was logged since: 2026-01-02T13:23:37Z, or 42m ago
  -n, --tail string    Only this many lines from the end (default "all")
  -t, --timestamps     Show timestamps
      --until string   Only what was logged before
""",
    arguments=(1, 1),
    also="argosy container logs, argosy logs",
)
_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_RAW = "application/vnd.docker.raw-stream"


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.stdstream import Demultiplexer, write_all

    since, until = options.text("since"), options.text("until")
    if since or until:
        from argosy.cli.times import timestamp

        since, until = timestamp(since, "since"), timestamp(until, "until")
    response = context.client.container_logs(
        arguments[0],
        stdout=True,
        stderr=True,
        since=since,
        until=until,
        timestamps=options.on("timestamps"),
        follow=options.on("follow"),
        tail=options.text("tail"),
        details=options.on("details"),
    )
    kind = response.headers.get("content-type", "")
    if kind not in (_MULTIPLEXED, _RAW):
        # Engines before API 1.42 do not say which of the two it is.
        tty = context.client.inspect_container(arguments[0])["Config"]["Tty"]
        kind = _RAW if tty else _MULTIPLEXED
    if kind == _RAW:
        for piece in response.pieces():
            write_all(1, [memoryview(piece)])
        return 0
    frames = Demultiplexer(1, 2)
    for piece in response.pieces():
        frames.feed(piece)
    return 0
