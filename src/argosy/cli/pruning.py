"""`prune`: ask, remove, say what went and how much space that gave back."""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.cli.values import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.client.docker import Client, Document

# Noun → (the answer's key, the heading of what was removed)
_ANSWERS = {
    "containers": ("ContainersDeleted", "Deleted Containers:"),
    "images": ("ImagesDeleted", "Deleted Images:"),
    "networks": ("NetworksDeleted", "Deleted Networks:"),
    "volumes": ("VolumesDeleted", "Deleted Volumes:"),
}


def confirm(warning: str) -> None:
    """Raises Failure when the user declines, which ends the command in silence."""
    sys.stdout.write(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("", 0)


def prune(client: Client, noun: str, conditions: list[str]) -> str:
    """What to print, the total reclaimed space at the end."""
    text, reclaimed = prune_quietly(client, noun, conditions)
    if noun == "networks":
        return text
    from argosy.units import format_bytes

    return f"{text}Total reclaimed space: {format_bytes(reclaimed)}\n"


def prune_quietly(client: Client, noun: str, conditions: list[str]) -> tuple[str, int]:
    key, heading = _ANSWERS[noun]
    answer = client.post(f"/{noun}/prune", {"filters": filters(conditions)}) or {}
    removed = answer.get(key) or []
    lines = [line_of(item) for item in removed]
    text = "\n".join([heading, *lines, "", ""]) if lines else ""
    return text, int(answer.get("SpaceReclaimed") or 0)


def line_of(item: str | Document) -> str:
    if isinstance(item, str):
        return item
    return f"deleted: {item['Deleted']}" if item.get("Deleted") else f"untagged: {item['Untagged']}"
