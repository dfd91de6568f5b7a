"""`argosy inspect`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.inspecting import inspect_each
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] NAME|ID [NAME|ID...]",
    "Return low-level information on any object",
    """
  -f, --format string   'json', or a Go template
  -s, --size            Show the size of its files, where it is a container
      --type string     Only objects of this type: container, image, network, volume
""",
    arguments=(1, None),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    client = context.client
    kinds: dict[str, Callable[[str], Document]] = {
        "container": lambda name: client.inspect_container(name, size=options.on("size")),
        "image": client.inspect_image,
        "network": client.inspect_network,
        "volume": client.inspect_volume,
    }
    wanted = options.text("type")
    if "type" in options.given and wanted not in kinds:
        known = ", ".join(f'"{kind}"' for kind in kinds)
        raise Failure(f'unknown type: "{wanted}": must be one of {known}')
    if wanted:
        return inspect_each(arguments, options.text("format"), kinds[wanted])
    return inspect_each(arguments, options.text("format"), lambda name: _any(kinds, name))


def _any(kinds: dict[str, Callable[[str], Document]], name: str) -> Document:
    for fetch in kinds.values():
        try:
            return fetch(name)
        except APIError as error:
            # A name that is impossible for one type of object may be another's.
            if error.status not in (400, 404):
                raise
    raise LookupError(f"Error: No such object: {name}")
