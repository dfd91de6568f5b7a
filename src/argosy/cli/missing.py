"""A name that the engine does not know: which of the known ones may have been meant."""

from __future__ import annotations

from argosy.client.errors import ConnectionFailed
from argosy.errors import ArgosyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.client.docker import Client


def hint(client: Client, message: str) -> str:
    """A line for stderr, or nothing."""
    for words, names in (("No such container: ", _containers), ("No such image: ", _images)):
        _, found, missing = message.partition(words)
        if found:
            return _hint_for(client, missing.strip(), names)
    return ""


def _hint_for(client: Client, missing: str, names: _Names) -> str:
    from argosy.cli.suggest import near

    try:
        known = names(client)
    except (ArgosyError, ConnectionFailed):
        # The engine's own message has been given; a hint is not worth a second one.
        return ""
    best = near(missing, known) or near(missing.removesuffix(":latest"), known)
    return f"hint: did you mean {' or '.join(best)}?" if best else ""


def _containers(client: Client) -> list[str]:
    found = client.list_containers(all=True)
    return [name.lstrip("/") for container in found for name in container.get("Names") or ()]


def _images(client: Client) -> list[str]:
    return [tag for image in client.list_images() for tag in image.get("RepoTags") or ()]


if TYPE_CHECKING:
    from collections.abc import Callable

    _Names = Callable[[Client], list[str]]
