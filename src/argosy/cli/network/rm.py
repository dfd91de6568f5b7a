"""`argosy network rm`."""

from __future__ import annotations

from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "NETWORK [NETWORK...]",
    "Remove one or more networks",
    """
  -f, --force   Don't complain of networks that do not exist
""",
    arguments=(1, None),
    also="argosy network rm, argosy network remove",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    outcomes = context.client.each("DELETE", [f"/networks/{quote(name)}" for name in arguments])
    failed = False
    for name, error in zip(arguments, outcomes, strict=True):
        if error is None:
            print(name)
        elif not (error.status == 404 and options.on("force")):
            context.report(error)
            failed = True
    return 1 if failed else 0
