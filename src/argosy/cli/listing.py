"""`ls` commands: a table, bare identifiers, JSON, or the user's template."""

from __future__ import annotations

import sys

from argosy.cli import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    Row = Mapping[str, Any]

FORMAT_HELP = """--format string   'table' (default), 'table TEMPLATE', 'json', or a Go template"""

# Headers that are not their field's name in capitals.
_HEADERS = {
    "ID": "ID",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "RunningFor": "CREATED",
    "LocalVolumes": "LOCAL VOLUMES",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "TotalCount": "TOTAL",
}


def show(
    columns: Sequence[tuple[str, str]],
    rows: Iterable[Row],
    *,
    template: str = "",
    quiet: str = "",
    kind: str = "",
) -> None:
    """`columns` are (header, field); `quiet` is the one field that `-q` leaves; `kind` is for error texts."""
    if quiet and template in ("", "table", "json"):
        sys.stdout.write("".join(f"{row[quiet]}\n" for row in rows))
    elif template in ("", "table"):
        body = [[str(row[field]) for _, field in columns] for row in rows]
        sys.stdout.write(table.render([[header for header, _ in columns], *body]))
    elif template == "json":
        import json

        for row in rows:
            fields = {key: value for key, value in sorted(row.items()) if not callable(value)}
            text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
            print(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
    else:
        _templated(columns, rows, template, kind)


def _templated(columns: Sequence[tuple[str, str]], rows: Iterable[Row], template: str, kind: str) -> None:
    from argosy.cli.failure import Failure
    from argosy.cli.template import Fields, Template, TemplateError

    text = template.replace("\\t", "\t").replace("\\n", "\n")
    tabular = text.startswith("table")
    if tabular:
        text = text.removeprefix("table").strip(" ")
    try:
        compiled = Template(text)
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}") from None
    try:
        lines = [compiled.execute(Fields(row, kind)) for row in rows]
        if tabular:
            heads = {field: _HEADERS.get(field, field.upper()) for _, field in columns}
            heads = {**_HEADERS, **heads, **{field: header for header, field in columns}}
            lines.insert(0, compiled.execute(Headers(heads), as_header=True))
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}") from None
    if tabular:
        sys.stdout.write(table.render([line.split("\t") for line in lines]))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))


class Headers(dict[str, str]):
    """A field's header; fields without one of their own go by their name in capitals."""

    def __missing__(self, field: str) -> Any:
        return _label_header if field == "Label" else field.upper()


def _label_header(name: str) -> str:
    """`com.example.some-label` → `some label`."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key under which `n2` comes before `n10`."""
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for sign in [*name, ""]:
        if sign.isdigit():
            digits += sign
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        if sign:
            parts.append((1, 0, sign))
    return parts


def go_moment(text: str) -> str:
    """RFC 3339 as Go prints a time: `2026-11-24 01:44:04.689936163 +0000 UTC`."""
    if not text.endswith("Z"):
        return text
    return text[:-1].replace("T", " ") + " +0000 UTC"
