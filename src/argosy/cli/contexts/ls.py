"""`argosy context ls`."""

from __future__ import annotations

import sys

from argosy.cli.contexts import store
from argosy.cli.contexts.use import warn_if_overridden
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, natural, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "List contexts",
    f"""
      {FORMAT_HELP}
  -q, --quiet           Only show context names
""",
    also="argosy context ls, argosy context list",
)
_COLUMNS = (
    ("NAME", "Name"),
    ("DESCRIPTION", "Description"),
    ("DOCKER ENDPOINT", "DockerEndpoint"),
    ("ERROR", "Error"),
)
_ERROR_WIDTH = 45
_DESCRIPTION_WIDTH = 60


def run(context: Context, options: Options, arguments: list[str]) -> int:
    current = context.name
    rows = [_row(kept.name, kept.description, kept.endpoint.host) for kept in store.all_contexts()]
    rows.append(_row(store.DEFAULT, store.DEFAULT_DESCRIPTION, context.where.default_host()))
    if current not in {row["Name"] for row in rows}:
        rows.append(_row(current, "", "", _problem(current)))
    rows.sort(key=lambda row: natural(row["Name"]))
    if options.on("quiet"):
        sys.stdout.write("".join(f"{row['Name']}\n" for row in rows))
        return 0
    template = options.text("format")
    tabular = template in ("", "table")
    for row in rows:
        row["Current"] = row["Name"] == current
        if tabular:
            _shorten(row)
    show(_COLUMNS, rows, template=template, kind="*formatter.clientContextContext")
    warn_if_overridden("a context")
    return 0


def _row(name: str, description: str, host: str, problem: str = "") -> Document:
    return {"Name": name, "Description": description, "DockerEndpoint": host, "Error": problem}


def _shorten(row: Document) -> None:
    from argosy.cli.container.rows import ellipsis

    row["Name"] += " *" if row["Current"] else ""
    row["Description"] = ellipsis(row["Description"], _DESCRIPTION_WIDTH)
    row["Error"] = ellipsis(row["Error"], _ERROR_WIDTH)


def _problem(name: str) -> str:
    try:
        store.load(name)
    except Failure as failure:
        return failure.message
    return ""
