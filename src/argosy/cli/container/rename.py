"""`argosy rename`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTAINER NEW_NAME",
    "Rename a container",
    arguments=(2, 2),
    also="argosy container rename, argosy rename",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    container, name = arguments
    if not name.strip() or not container.strip():
        raise Failure("Error: Neither old nor new names may be empty")
    try:
        context.client.post(f"/containers/{quote(container)}/rename", {"name": name})
    except APIError as error:
        context.report(error)
        raise Failure(f"Error: failed to rename container named {container}") from None
    return 0
