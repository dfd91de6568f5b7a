"""`argosy events`."""

from __future__ import annotations

import time

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.times import timestamp
from argosy.cli.values import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "Get real time events from the engine",
    """
  -f, --filter filter   Show only events that match: type=container, event=die, container=web …
      --format string   'json', or a Go template
      --since string    Begin with what happened since then: 2026-01-02T13:23:37Z, or 10m ago
      --until string    End there
""",
    also="argosy system events, argosy events",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    template = options.text("format")
    render = _renderer(template)
    stream = context.client.events(
        filters=filters(options.many("filter")),
        since=timestamp(options.text("since"), "since"),
        until=timestamp(options.text("until"), "until"),
    )
    for event in stream:
        print(render(event), flush=True)
    return 0


def _renderer(template: str) -> Callable[[Document], str]:
    if not template:
        return line_of
    if template == "json":
        from argosy.cli.template_functions import to_json

        return to_json
    from argosy.cli.template import Template, TemplateError

    try:
        return Template(template.replace("\\t", "\t")).execute
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}", 64) from None


def line_of(event: Document) -> str:
    """`2026-01-02T03:04:05.000000006Z container start 1a2b… (image=busybox, name=web)`."""
    nanoseconds = int(event.get("timeNano") or 0)
    moment = time.localtime(nanoseconds // 1_000_000_000)
    zone = time.strftime("%z", moment)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", moment) + f".{nanoseconds % 1_000_000_000:09d}{zone}"
    actor = event.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    described = ", ".join(f"{key}={attributes[key]}" for key in sorted(attributes))
    line = f"{stamp} {event['Type']} {event['Action']} {actor.get('ID', '')}"
    return f"{line} ({described})" if described else line
