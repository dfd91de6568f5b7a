"""`argosy context import`."""

from __future__ import annotations

import os

from argosy.cli.contexts import store
from argosy.cli.contexts.archive import LIMIT, unpacked
from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTEXT FILE|-",
    "Import a context from a tar or zip archive, or from stdin",
    arguments=(2, 2),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    name, source = arguments
    store.check_name(name)
    if store.exists(name):
        raise Failure(f'context "{name}" already exists')
    return store.save_aloud(unpacked(name, _read(source)), "imported")


def _read(source: str) -> bytes:
    try:
        with open(0 if source == "-" else source, "rb", closefd=source != "-") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise Failure(f"open {source}: {os.strerror(error.errno or 0).lower()}") from None
    if len(data) > LIMIT:
        raise Failure("invalid context file: it is too large")
    return data
