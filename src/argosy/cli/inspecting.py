"""`inspect`: documents as indented JSON, or through the user's template."""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PARSE_FAILED = 64


def inspect_each(names: list[str], template: str, fetch: Callable[[str], Any]) -> int:
    """All that is found is printed before the complaints about the others. Raises Failure."""
    render = _renderer(template) if template and template != "json" else None
    found: list[Any] = []
    printed: list[str] = []
    complaints: list[str] = []
    for name in names:
        try:
            document = fetch(name)
        except APIError as error:
            complaints.append(f"Error response from daemon: {error.message.strip()}")
            continue
        except LookupError as error:
            complaints.append(str(error.args[0]))
            continue
        if render is not None:
            try:
                printed.append(render(document) + "\n")
            except ValueError as error:
                complaints.append(f"template parsing error: {error}")
                printed.append("\n")
                break
        found.append(document)
    if render is not None:
        sys.stdout.write("".join(printed) if printed else "\n")
    else:
        _print_json(found, compact=template == "json")
    if complaints:
        raise Failure("\n".join(complaints))
    return 0


def _renderer(template: str) -> Callable[[Any], str]:
    from argosy.cli.template import Template, TemplateError

    try:
        compiled = Template(template.replace("\\t", "\t").replace("\\n", "\n"))
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}", PARSE_FAILED) from None

    def render(document: Any) -> str:
        try:
            return compiled.execute(document)
        except TemplateError as error:
            raise ValueError(str(error)) from None

    return render


def _print_json(documents: list[Any], *, compact: bool) -> None:
    import json

    if compact:
        text = json.dumps(documents, separators=(",", ":"), ensure_ascii=False)
    elif documents:
        text = json.dumps(documents, indent=4, ensure_ascii=False)
    else:
        text = "[]"
    sys.stdout.write(f"{text}\n")
