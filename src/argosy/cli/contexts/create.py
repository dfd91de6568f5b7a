"""`argosy context create`."""

from __future__ import annotations

from argosy.cli.contexts import store
from argosy.cli.contexts.endpoint import HELP, endpoint_of, parse
from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTEXT",
    "Create a context",
    """
      --description string   What it is for
      --docker pairs         Its endpoint: host=…,ca=…,cert=…,key=…
      --from string          Make it like another context
""",
    arguments=(1, 1),
    notes=HELP,
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    name = arguments[0]
    store.check_name(name)
    if store.exists(name):
        raise Failure(f'context "{name}" already exists')
    return store.save_aloud(_made(context, options, name), "created")


def _made(context: Context, options: Options, name: str) -> store.Kept:
    source, pairs = options.text("from"), options.pairs("docker")
    description = options.text("description")
    if not source and pairs:
        return store.new(name, description, parse(pairs, context))
    if source and pairs:
        raise Failure("cannot use --docker flag when --from is set")
    source = source or context.name
    if source == store.DEFAULT:
        description = description or store.DEFAULT_DESCRIPTION
        return store.new(name, description, endpoint_of(source, context))
    found = store.load(source)
    made = store.Kept(name, found.document, found.tls)
    if description:
        made.description = description
    return made
