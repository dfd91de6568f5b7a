"""`argosy manifest rm`."""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.manifest import lists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command("MANIFEST_LIST [MANIFEST_LIST...]", "Delete local manifest lists", arguments=(1, None))


def run(context: Context, options: Options, arguments: list[str]) -> int:
    failed = 0
    for text in arguments:
        try:
            lists.remove(lists.reference(text))
        except Failure as failure:
            print(failure.message, file=sys.stderr)
            failed = 1
    return failed
