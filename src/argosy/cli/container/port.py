"""`argosy port`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    "List port mappings or a specific mapping for the container",
    arguments=(1, 2),
    also="argosy container port, argosy port",
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    container = arguments[0]
    ports = context.client.inspect_container(container)["NetworkSettings"].get("Ports") or {}
    if len(arguments) == 1:
        lines = [f"{port} -> {address}" for port, bound in ports.items() for address in _addresses(bound)]
        for line in sorted(lines, key=lambda line: (int(line.partition("/")[0]), line)):
            print(line)
        return 0
    wanted, _, protocol = arguments[1].partition("/")
    if not wanted.isdigit() or int(wanted) > 65535:
        raise Failure(
            f'Error: invalid port ({wanted}): strconv.ParseUint: parsing "{wanted}": invalid syntax'
        )
    bound = ports.get(f"{wanted}/{protocol or 'tcp'}")
    if not bound:
        raise Failure(f"Error: No public port '{arguments[1]}' published for {container}")
    for address in _addresses(bound):
        print(address)
    return 0


def _addresses(bound: list[dict[str, str]] | None) -> list[str]:
    from argosy.cli.container.rows import host_port

    return [host_port(item["HostIp"], item["HostPort"]) for item in bound or ()]
