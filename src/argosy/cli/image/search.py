"""`argosy search`."""

from __future__ import annotations

import sys

from argosy.cli.credentials import authorization
from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show
from argosy.cli.values import filters
from argosy.client.docker import REGISTRY_AUTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] TERM",
    "Search a registry for images: Docker Hub, if the term names none",
    f"""
  -f, --filter filter   Show only images that match: is-official=true, stars=3 …
      {FORMAT_HELP}
      --limit int       Show at most this many, up to 100
      --no-trunc        Show descriptions to their end
""",
    arguments=(1, 1),
)
_COLUMNS = (
    ("NAME", "Name"),
    ("DESCRIPTION", "Description"),
    ("STARS", "StarCount"),
    ("OFFICIAL", "IsOfficial"),
)
_WIDTH = 45
_DEPRECATED = (
    'WARNING: the "is-automated" filter is deprecated, and searching for "is-automated=true" '
    "will not yield any results in future.\n"
)
_JSON = ("json", "{{json .}}")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    term = arguments[0]
    wanted = filters(options.many("filter"))
    if "is-automated" in wanted:
        sys.stderr.write(_DEPRECATED)
    query: Document = {"term": term, "filters": wanted}
    limit = options.number("limit")
    if limit > 0:
        query["limit"] = limit
    host, slash, _ = term.partition("/")
    domain = host if slash and ("." in host or ":" in host or host == "localhost") else "docker.io"
    known = authorization(domain)
    headers = (f"{REGISTRY_AUTH}: {known}",) if known else ()
    found = context.client.call("GET", "/images/search", query, None, headers).json() or []
    template = options.text("format")
    whole = options.on("no-trunc")
    show(
        _COLUMNS,
        [_row(image, whole, template in _JSON) for image in found],
        template=template,
        kind="*registry.searchContext",
    )
    return 0


def _row(image: Document, whole: bool, for_programs: bool) -> Document:
    description = image["description"].replace("\n", " ").replace("\r", " ")
    if not whole and len(description) > _WIDTH:
        description = description[: _WIDTH - 1] + "…"
    official = image["is_official"]
    return {
        "Description": description,
        "IsOfficial": str(official).lower() if for_programs else "[OK]" if official else "",
        "Name": image["name"],
        "StarCount": str(image["star_count"]),
    }
