"""`argosy context export`."""

from __future__ import annotations

import os
import sys

from argosy.cli.contexts import store
from argosy.cli.contexts.archive import packed
from argosy.cli.contexts.endpoint import endpoint_of
from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTEXT [FILE|-]",
    "Export a context to a tar archive, or to stdout",
    arguments=(1, 2),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    name = arguments[0]
    target = arguments[1] if len(arguments) > 1 else f"{name}.dockercontext"
    if name == store.DEFAULT:
        kept = store.new(name, store.DEFAULT_DESCRIPTION, endpoint_of(name, context))
    else:
        store.check_name(name)
        kept = store.load(name)
    data = packed(kept)
    if target == "-":
        if os.isatty(1):
            raise Failure("cowardly refusing to export to a terminal, specify a file path")
        sys.stdout.buffer.write(data)
        return 0
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(f"open {target}: {os.strerror(error.errno or 0).lower()}") from None
    with open(descriptor, "wb") as file:
        file.write(data)
    sys.stderr.write(f'Written file "{target}"\n')
    return 0
