"""`argosy network ls`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, go_moment, natural, show
from argosy.cli.values import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "List networks",
    f"""
  -f, --filter filter   Show only networks that match: driver=bridge, name=web, label=key …
      {FORMAT_HELP}
      --no-trunc        Don't truncate output
  -q, --quiet           Only show network IDs
""",
    also="argosy network ls, argosy network list",
)
_COLUMNS = (("NETWORK ID", "ID"), ("NAME", "Name"), ("DRIVER", "Driver"), ("SCOPE", "Scope"))


def run(context: Context, options: Options, arguments: list[str]) -> int:
    query = {"filters": filters(options.many("filter"))}
    found = sorted(context.client.list_networks(**query), key=lambda network: natural(network["Name"]))
    length = None if options.on("no-trunc") else 12
    show(
        _COLUMNS,
        [_row(network, length) for network in found],
        template=options.text("format"),
        quiet="ID" if options.on("quiet") else "",
        kind="*network.networkContext",
    )
    return 0


def _row(network: Document, length: int | None) -> Document:
    labels: dict[str, str] = network.get("Labels") or {}
    return {
        "CreatedAt": go_moment(network.get("Created", "")),
        "Driver": network["Driver"],
        "ID": network["Id"][:length],
        "IPv4": str(network.get("EnableIPv4", True)).lower(),
        "IPv6": str(network.get("EnableIPv6", False)).lower(),
        "Internal": str(network.get("Internal", False)).lower(),
        "Labels": ",".join(f"{key}={value}" for key, value in labels.items()),
        "Label": lambda name: labels.get(name, ""),
        "Name": network["Name"],
        "Scope": network["Scope"],
    }
