"""`argosy tag`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.reference import parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    arguments=(2, 2),
    also="argosy image tag, argosy tag",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    source, target = arguments
    try:
        wanted = parse_name(target).tagged()
    except ValueError as error:
        raise Failure(f'Error parsing reference: "{target}" is not a valid repository/tag: {error}') from None
    query = {"repo": wanted.repository, "tag": wanted.tag}
    context.client.post(f"/images/{quote(source, b'/:@')}/tag", query)
    return 0
