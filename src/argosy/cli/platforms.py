"""`--platform os[/arch[/variant]]`, as the JSON that newer calls of the API take."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def platform_query(text: str) -> dict[str, Any]:
    if not text:
        return {}
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        from argosy.cli.failure import Failure

        raise Failure(f'invalid platform: "{text}"')
    return dict(zip(("os", "architecture", "variant"), parts, strict=False))
