"""`argosy manifest create`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.manifest import lists

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]",
    "Make a manifest list of images at a registry, to be annotated and pushed",
    """
  -a, --amend      Add to a list that there is
      --insecure   Accepted for compatibility; the engine knows which registries are insecure
""",
    arguments=(2, None),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    target = lists.reference(arguments[0])
    if lists.exists(target) and not options.on("amend"):
        raise Failure("refusing to amend an existing manifest list with no --amend flag")
    images = [lists.reference(text) for text in arguments[1:]]
    entries = [lists.fetch(context.client, image) for image in images]
    for entry in entries:
        if lists.is_index(entry):
            raise Failure(f"{entry['Ref']} is a manifest list: name the images that it is made of")
    for entry in entries:
        lists.save(target, entry)
    print(f"Created manifest list {target.complete}")
    return 0
