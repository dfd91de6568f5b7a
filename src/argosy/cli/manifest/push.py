"""`argosy manifest push`."""

from __future__ import annotations

from argosy.cli.flags import Command
from argosy.cli.manifest import lists
from argosy.cli.reference import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] MANIFEST_LIST",
    "Push a local manifest list to its repository",
    """
      --insecure   Accepted for compatibility; the engine knows which registries are insecure
  -p, --purge      Remove the local list afterwards
""",
    arguments=(1, 1),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    target = lists.reference(arguments[0])
    entries = lists.load(target)
    sources = {entry["Descriptor"]["digest"]: entry["Ref"] for entry in entries}
    digest = lists.push(context.client, target, lists.index(entries), sources)
    for entry in entries:
        if parse(entry["Ref"]).repository != target.repository:
            brought = entry["Descriptor"]["digest"]
            print(f"Pushed ref {target.repository}@{brought} with digest: {brought}")
    print(digest)
    if options.on("purge"):
        lists.remove(target)
    return 0
