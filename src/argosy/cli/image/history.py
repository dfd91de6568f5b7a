"""`argosy history`."""

from __future__ import annotations

import time

from argosy.cli.container.rows import ellipsis
from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show
from argosy.cli.platforms import platform_query
from argosy.ids import short
from argosy.units import format_bytes, human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] IMAGE",
    "Show the history of an image",
    f"""
      {FORMAT_HELP}
  -H, --human             Print sizes and dates as people read them (default true)
      --no-trunc          Don't truncate output
      --platform string   Of an image for several platforms, this one: os[/arch[/variant]]
  -q, --quiet             Only show image IDs
""",
    arguments=(1, 1),
    also="argosy image history, argosy history",
)
_COLUMNS = (
    ("IMAGE", "ID"),
    ("CREATED", "CreatedSince"),
    ("CREATED BY", "CreatedBy"),
    ("SIZE", "Size"),
    ("COMMENT", "Comment"),
)
_WIDTH = 45


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    query = {"platform": platform_query(options.text("platform"))}
    layers = context.client.get(f"/images/{quote(arguments[0], b'/:@')}/history", query)
    rows = [_row(layer, human=options.on("human"), trunc=not options.on("no-trunc")) for layer in layers]
    columns = _COLUMNS if options.on("human") else [_COLUMNS[0], ("CREATED AT", "CreatedAt"), *_COLUMNS[2:]]
    show(
        columns,
        rows,
        template=options.text("format"),
        quiet="ID" if options.on("quiet") else "",
        kind="*image.historyContext",
    )
    return 0


def _row(layer: Document, *, human: bool, trunc: bool) -> Document:
    created = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(layer["Created"]))
    created = f"{created[:-2]}:{created[-2:]}".replace("+00:00", "Z")
    command = layer["CreatedBy"].replace("\t", " ")
    return {
        "Comment": layer["Comment"],
        "CreatedAt": created,
        "CreatedBy": ellipsis(command, _WIDTH) if trunc else command,
        "CreatedSince": f"{human_duration(time.time() - layer['Created'])} ago" if human else created,
        "ID": short(layer["Id"]) if trunc else layer["Id"],
        "Size": format_bytes(layer["Size"], 3) if human else str(layer["Size"]),
    }
