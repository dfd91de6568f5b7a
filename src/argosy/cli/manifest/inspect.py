"""`argosy manifest inspect`."""

from __future__ import annotations

import json

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.manifest import lists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.cli.reference import Reference

COMMAND = Command(
    "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    "Display an image's manifest, or a manifest list: a local one, or a registry's",
    """
      --insecure   Accepted for compatibility; the engine knows which registries are insecure
  -v, --verbose    Show descriptors and platforms, too
""",
    arguments=(1, 2),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    verbose = options.on("verbose")
    wanted = lists.reference(arguments[-1])
    if len(arguments) == 2:
        entries = lists.load(lists.reference(arguments[0]))
        found = [entry for entry in entries if entry["Ref"] == wanted.complete]
        if not found:
            raise Failure(f"No such manifest: {wanted.complete}")
        _print(_verbose(found[0]) if verbose else lists.document(found[0]))
    elif lists.exists(wanted):
        entries = lists.load(wanted)
        if verbose:
            _print([_verbose(entry) for entry in entries])
        else:
            print(lists.index(entries).decode())
    else:
        _show(context, wanted, verbose)
    return 0


def _show(context: Context, wanted: Reference, verbose: bool) -> None:
    """What a registry has."""
    entry = lists.fetch(context.client, wanted)
    if not lists.is_index(entry):
        _print(_verbose(entry) if verbose else lists.document(entry))
    elif verbose:
        _print([_verbose(each) for each in lists.fetch_all(context.client, wanted, entry)])
    else:
        print(json.dumps(lists.document(entry), indent=3, ensure_ascii=False))


def _verbose(entry: lists.Entry) -> dict[str, Any]:
    kept = {name: entry[name] for name in ("Ref", "Descriptor", "Raw")}
    return {**kept, "SchemaV2Manifest": lists.document(entry)}


def _print(value: Any) -> None:
    print(json.dumps(value, indent="\t", ensure_ascii=False))
