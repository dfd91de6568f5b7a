"""The image that `pull` and `push` are about."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.reference import parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.flags import Options
    from argosy.cli.reference import Reference


def named(text: str, options: Options) -> Reference:
    """With `latest` where nothing says which tag, and the user told so; bare with --all-tags.

    Raises Failure.
    """
    try:
        reference = parse_name(text)
    except ValueError as error:
        raise Failure(str(error)) from None
    if options.on("all-tags"):
        if reference.tag or reference.digest:
            raise Failure("tag can't be used with --all-tags/-a")
        return reference
    tagged = reference.tagged()
    if tagged is not reference and not options.on("quiet"):
        print(f"Using default tag: {tagged.tag}")
    return tagged
