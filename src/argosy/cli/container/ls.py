"""`argosy ps`."""

from __future__ import annotations

import sys

from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS]",
    "List containers",
    f"""
  -a, --all             Show all containers (default shows just running)
  -f, --filter filter   Show only containers that match: name=web, status=exited, label=key …
      {FORMAT_HELP}
  -n, --last int        Show the n last created containers, whatever their state (default -1)
  -l, --latest          Show the last created container, whatever its state
      --no-trunc        Don't truncate output
  -q, --quiet           Only show container IDs
  -s, --size            Show the size of the files that the container wrote
""",
    also="argosy container ls, argosy container list, argosy container ps, argosy ps",
)
_COLUMNS = (
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
)
_SIZE = ("SIZE", "Size")
KIND = "*formatter.ContainerContext"


def run(context: Context, options: Options, arguments: list[str]) -> int:
    template = options.text("format")
    size = options.on("size") or ".Size" in template or "json ." in template
    query: dict[str, object] = {"all": options.on("all"), "size": size}
    last = 1 if options.on("latest") else options.number("last")
    if last > 0:
        query["limit"] = last
    if options.many("filter"):
        from argosy.cli.values import filters

        query["filters"] = filters(options.many("filter"))
    if template not in ("", "table", "json"):
        _check(template)
    found = context.client.list_containers(**query)
    if options.on("quiet"):
        if template:
            sys.stderr.write("WARNING: Ignoring custom format, because both --format and --quiet are set.\n")
        length = None if options.on("no-trunc") else 12
        show((), [{"ID": item["Id"][:length]} for item in found], quiet="ID")
        return 0
    columns = [*_COLUMNS, _SIZE] if options.on("size") else _COLUMNS
    if not found:
        show(columns, (), template=template, kind=KIND)
        return 0
    from argosy.cli.container.rows import row

    rows = [row(item, trunc=not options.on("no-trunc")) for item in found]
    show(columns, rows, template=template, kind=KIND)
    return 0


def _check(template: str) -> None:
    """Docker looks into this template before it asks the engine, and has words of its own for errors."""
    from argosy.cli.container.rows import row
    from argosy.cli.failure import Failure
    from argosy.cli.template import Fields, Template, TemplateError

    try:
        compiled = Template(template)
    except TemplateError as error:
        raise Failure(f"failed to parse template: {error}") from None
    try:
        compiled.execute(Fields(row({"Id": ""}, trunc=True), KIND))
    except TemplateError as error:
        raise Failure(f"failed to execute template: {error}") from None
