"""`argosy info`."""

from __future__ import annotations

import sys

from argosy import __version__
from argosy.cli.flags import Command
from argosy.units import format_binary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "Display system-wide information",
    """
  -f, --format string   'json', or a Go template
""",
    also="argosy system info, argosy info",
)
# Lines of the server's part: label → field of the answer.
_LINES = (
    ("Default Runtime", "DefaultRuntime"),
    ("Init Binary", "InitBinary"),
)
_MACHINE = (
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    template = options.text("format")
    info = context.client.info()
    client = {"Version": __version__, "Context": context.name, "Debug": False}
    if template:
        from argosy.cli.formatting import print_document
        from argosy.cli.template_scope import Fields

        print_document(Fields({**info, "ClientInfo": client}, "system.dockerInfo"), template)
        return 0
    head = f"Client:\n Version:    {__version__}\n Context:    {context.name}\n Debug Mode: false\n"
    sys.stdout.write(f"{head}\nServer:\n" + "".join(f" {line}\n" for line in server_lines(info)) + "\n")
    for warning in info.get("Warnings") or ():
        sys.stderr.write(f"{warning}\n")
    return 0


def server_lines(info: Document) -> list[str]:
    lines = [f"Containers: {info.get('Containers', 0)}"]
    for state in ("Running", "Paused", "Stopped"):
        lines.append(f" {state}: {info.get('Containers' + state, 0)}")
    lines += [f"Images: {info.get('Images', 0)}", f"Server Version: {info.get('ServerVersion', '')}"]
    lines.append(f"Storage Driver: {info.get('Driver', '')}")
    lines += [f" {name}: {value}" for name, value in info.get("DriverStatus") or ()]
    for label, field in (("Logging Driver", "LoggingDriver"), ("Cgroup Driver", "CgroupDriver")):
        lines.append(f"{label}: {info.get(field, '')}")
    lines.append(f"Cgroup Version: {info.get('CgroupVersion', '')}")
    plugins = info.get("Plugins") or {}
    lines.append("Plugins:")
    for kind in ("Volume", "Network", "Log"):
        lines.append(f" {kind}: {' '.join(plugins.get(kind) or ())}")
    lines.append(f"Swarm: {(info.get('Swarm') or {}).get('LocalNodeState', 'inactive')}")
    lines.append(f"Runtimes: {' '.join(sorted(info.get('Runtimes') or ()))}")
    lines += [f"{label}: {info[field]}" for label, field in _LINES if info.get(field)]
    if info.get("SecurityOptions"):
        lines.append("Security Options:")
        for option in info["SecurityOptions"]:
            pairs = dict(pair.partition("=")[::2] for pair in option.split(","))
            lines.append(f" {pairs.pop('name', '')}")
            lines += [f"  {key.title()}: {value}" for key, value in pairs.items()]
    lines += [f"{label}: {info.get(field, '')}" for label, field in _MACHINE]
    lines.append(f"Total Memory: {format_binary(info.get('MemTotal') or 0)}")
    lines += [f"Name: {info.get('Name', '')}", f"ID: {info.get('ID', '')}"]
    lines.append(f"Docker Root Dir: {info.get('DockerRootDir', '')}")
    for label, field in (("Debug Mode", "Debug"), ("Experimental", "ExperimentalBuild")):
        lines.append(f"{label}: {str(bool(info.get(field))).lower()}")
    registries = info.get("RegistryConfig") or {}
    if registries.get("InsecureRegistryCIDRs"):
        lines += ["Insecure Registries:", *(f" {span}" for span in registries["InsecureRegistryCIDRs"])]
    if registries.get("Mirrors"):
        lines += ["Registry Mirrors:", *(f" {mirror}" for mirror in registries["Mirrors"])]
    return [*lines, f"Live Restore Enabled: {str(bool(info.get('LiveRestoreEnabled'))).lower()}"]
