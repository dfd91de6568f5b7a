"""`argosy volume ls`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, natural, show
from argosy.cli.values import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "List volumes",
    f"""
  -f, --filter filter   Show only volumes that match: dangling=true, label=key …
      {FORMAT_HELP}
  -q, --quiet           Only show volume names
""",
    also="argosy volume ls, argosy volume list",
)
_COLUMNS = (("DRIVER", "Driver"), ("VOLUME NAME", "Name"))
_OTHERS = ("Availability", "Group", "Links", "Size", "Status")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    query = {"filters": filters(options.many("filter"))}
    found = sorted(context.client.list_volumes(**query), key=lambda volume: natural(volume["Name"]))
    quiet = "Name" if options.on("quiet") else ""
    show(
        _COLUMNS,
        [_row(volume) for volume in found],
        template=options.text("format"),
        quiet=quiet,
        kind="*formatter.volumeContext",
    )
    return 0


def _row(volume: Document) -> Document:
    labels: dict[str, str] = volume.get("Labels") or {}
    return {
        **dict.fromkeys(_OTHERS, "N/A"),
        "Driver": volume["Driver"],
        "Labels": ",".join(f"{key}={value}" for key, value in labels.items()),
        "Label": lambda name: labels.get(name, ""),
        "Mountpoint": volume["Mountpoint"],
        "Name": volume["Name"],
        "Scope": volume["Scope"],
    }
