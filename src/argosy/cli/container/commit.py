"""`argosy commit`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.reference import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    "Create a new image from a container's changes",
    """
  -a, --author string    Author: "Name <address>"
  -c, --change list      Apply a Dockerfile instruction to the image
  -m, --message string   Commit message
  -p, --pause            Pause the container while it is read (default true)
""",
    arguments=(1, 2),
    also="argosy container commit, argosy commit",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    name = arguments[1] if len(arguments) > 1 else ""
    query = {
        "container": arguments[0],
        "author": options.text("author"),
        "comment": options.text("message"),
        "changes": options.many("change"),
        "pause": "1" if options.on("pause") else "0",
        **_target(name),
    }
    print(context.client.post("/commit", query, {})["Id"])
    return 0


def _target(name: str) -> dict[str, str]:
    if not name:
        return {}
    try:
        wanted = parse(name).tagged()
    except ValueError as error:
        raise Failure(str(error)) from None
    return {"repo": wanted.repository, "tag": wanted.tag}
