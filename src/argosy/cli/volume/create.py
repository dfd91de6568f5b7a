"""`argosy volume create`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.values import mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] [VOLUME]",
    "Create a volume",
    """
  -d, --driver string   Volume driver (default "local")
      --label label     Label: name=value
      --name string     Name, as the argument is
  -o, --opt map         Driver option: name=value
""",
    arguments=(0, 1),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    name = arguments[0] if arguments else options.text("name")
    if arguments and options.text("name"):
        raise Failure(
            "conflicting options: cannot specify a volume name through both --name and as a positional arg"
        )
    body = {
        "Name": name,
        "Driver": options.text("driver"),
        "DriverOpts": mapping(options.many("opt")),
        "Labels": mapping(options.many("label")),
    }
    print(context.client.post("/volumes/create", None, body)["Name"])
    return 0
