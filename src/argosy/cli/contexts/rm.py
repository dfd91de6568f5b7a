"""`argosy context rm`."""

from __future__ import annotations

from argosy.cli import config_file
from argosy.cli.contexts import store
from argosy.cli.contexts.use import keep
from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTEXT [CONTEXT...]",
    "Remove one or more contexts",
    """
  -f, --force   Remove a context in use, too
""",
    arguments=(1, None),
    also="argosy context rm, argosy context remove",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    complaints = []
    for name in arguments:
        problem = _remove(name, context.name, force=options.on("force"))
        if problem:
            complaints.append(problem)
        else:
            print(name)
    if complaints:
        raise Failure("\n".join(complaints))
    return 0


def _remove(name: str, current: str, *, force: bool) -> str:
    """What is in the way, if anything."""
    if name == store.DEFAULT:
        return f'context "{name}" cannot be removed'
    if not store.exists(name):
        return f'context "{name}" does not exist'
    in_use = name in (current, config_file.current_context())
    if in_use and not force:
        return f'context "{name}" is in use, set -f flag to force remove'
    if name == config_file.current_context():
        keep(store.DEFAULT)
    store.remove(name)
    return ""
