"""`argosy context inspect`."""

from __future__ import annotations

from argosy.cli.contexts import store
from argosy.cli.contexts.endpoint import endpoint_of
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.inspecting import inspect_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] [CONTEXT] [CONTEXT...]",
    "Display detailed information on one or more contexts",
    """
  -f, --format string   'json', or a Go template
""",
    arguments=(0, None),
)
_IN_MEMORY = "<IN MEMORY>"


def run(context: Context, options: Options, arguments: list[str]) -> int:
    def fetch(name: str) -> Document:
        try:
            return _document(name, context)
        except Failure as failure:
            raise LookupError(failure.message) from None

    return inspect_each(arguments or [context.name], options.text("format"), fetch)


def _document(name: str, context: Context) -> Document:
    if name == store.DEFAULT:
        kept = store.new(name, "", endpoint_of(name, context))
        storage = {"MetadataPath": _IN_MEMORY, "TLSPath": _IN_MEMORY}
    else:
        kept = store.load(name)
        storage = {"MetadataPath": store.metadata_folder(name), "TLSPath": store.tls_folder(name)}
    return {
        "Name": name,
        "Metadata": kept.document.get("Metadata") or {},
        "Endpoints": kept.document.get("Endpoints") or {},
        "TLSMaterial": {store.ENDPOINT: sorted(kept.tls)} if kept.tls else {},
        "Storage": storage,
    }
