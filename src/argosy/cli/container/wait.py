"""`argosy wait`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTAINER [CONTAINER...]",
    "Block until one or more containers stop, then print their exit codes",
    arguments=(1, None),
    also="argosy container wait, argosy wait",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    failures = []
    for name in arguments:
        try:
            answer = context.client.wait_container(name).json() or {}
        except APIError as error:
            failures.append(error)
            continue
        print(answer.get("StatusCode", 0), flush=True)
    for failure in failures:
        context.report(failure)
    return 1 if failures else 0
