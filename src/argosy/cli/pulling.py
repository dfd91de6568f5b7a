"""Pull an image by its reference, with the registry's login."""

from __future__ import annotations

from argosy.cli import progress
from argosy.cli.credentials import authorization

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from argosy.cli.reference import Reference
    from argosy.client.docker import Client


def pull(
    client: Client,
    reference: Reference,
    output: TextIO | None,
    *,
    platform: str = "",
    all_tags: bool = False,
) -> None:
    """Progress goes to `output`, or nowhere."""
    tag = "" if all_tags else reference.digest or reference.tag
    messages = client.pull_image(
        authorization(reference.domain), fromImage=reference.repository, tag=tag, platform=platform
    )
    if output is not None:
        progress.show(messages, output)
        return
    for message in messages:
        if message.get("error"):
            progress.show([message], _nowhere())


def _nowhere() -> TextIO:
    import io

    return io.StringIO()
