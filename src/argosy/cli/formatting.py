"""One document through the user's template."""

from __future__ import annotations

from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PARSE_FAILED = 64


def print_document(document: Any, template: str, name: str = "") -> None:
    """As JSON or by a template; `name` is what the template's errors call it. Raises Failure."""
    if template == "json":
        template = "{{json .}}"
    from argosy.cli.template import Template, TemplateError

    try:
        compiled = Template(template.replace("\\t", "\t").replace("\\n", "\n"), name)
    except TemplateError as error:
        raise Failure(f"template parsing error: {error}", PARSE_FAILED) from None
    try:
        print(compiled.execute(document))
    except TemplateError as error:
        print()
        raise Failure(str(error)) from None
