"""`argosy rm`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Remove one or more containers",
    """
  -f, --force     Remove it even while it runs (it is killed)
  -l, --link      Remove the link of this name, not the container
  -v, --volumes   Remove its anonymous volumes as well
""",
    arguments=(1, None),
    also="argosy container rm, argosy container remove, argosy rm",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    query = {"force": options.on("force"), "link": options.on("link"), "v": options.on("volumes")}
    names = [name.strip("/") for name in arguments]
    client = context.client
    outcomes = client.each("DELETE", [f"/containers/{quote(name)}" for name in names], query)
    failures = []
    for name, error in zip(arguments, outcomes, strict=True):
        if error is None:
            print(name)
        elif not (error.status == 404 and options.on("force")):
            failures.append(error)
        else:
            context.report(error)
    for error in failures:
        context.report(error)
    return 1 if failures else 0
