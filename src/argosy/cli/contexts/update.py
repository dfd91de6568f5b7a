"""`argosy context update`."""

from __future__ import annotations

from argosy.cli.contexts import store
from argosy.cli.contexts.endpoint import HELP, parse
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTEXT",
    "Update a context",
    """
      --description string   What it is for
      --docker pairs         Its endpoint: host=…,ca=…,cert=…,key=…
""",
    arguments=(1, 1),
    notes=HELP,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    name = arguments[0]
    store.check_name(name)
    kept = store.load(name)
    if options.text("description"):
        kept.description = options.text("description")
    if options.pairs("docker"):
        kept.endpoint = parse(options.pairs("docker"), context)
    return store.save_aloud(kept, "updated")
