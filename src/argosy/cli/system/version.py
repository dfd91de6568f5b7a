"""`argosy version`."""

from __future__ import annotations

import os
import sys

from argosy import __version__
from argosy.cli.flags import Command
from argosy.client.docker import API_VERSION
from argosy.errors import ArgosyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS]",
    "Show the version of the client and of the engine",
    """
  -f, --format string   'json', or a Go template
""",
)
# Label → field, of the engine's own lines.
_ENGINE = (
    ("Version", "Version"),
    ("Go version", "GoVersion"),
    ("Git commit", "GitCommit"),
    ("Built", "BuildTime"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:
    client = {
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "DefaultAPIVersion": API_VERSION,
        "Os": sys.platform,
        "Arch": machine(),
        "Context": context.name,
    }
    failure: ArgosyError | None = None
    server: Document | None = None
    try:
        server = context.client.version_document()
    except ArgosyError as error:
        failure = error
    template = options.text("format")
    if template:
        from argosy.cli.formatting import print_document
        from argosy.cli.template_scope import Fields

        parts = {
            "Client": Fields(client, "system.clientVersion"),
            "Server": Fields(server, "*types.Version") if server is not None else None,
        }
        print_document(Fields(parts, "system.versionInfo"), template, "version")
    else:
        sys.stdout.write(_text(client, server))
    if failure is not None:
        raise failure
    return 0


def _text(client: Document, server: Document | None) -> str:
    lines = ["Client: Argosy"]
    lines += _line(1, "Version", client["Version"]) + _line(1, "API version", client["ApiVersion"])
    lines += _line(1, "Python version", python_version())
    lines += _line(1, "OS/Arch", f"{client['Os']}/{client['Arch']}") + _line(1, "Context", client["Context"])
    if server is None:
        return "\n".join(lines) + "\n"
    name = (server.get("Platform") or {}).get("Name", "")
    lines += ["", f"Server: {name}".rstrip()]
    for component in server.get("Components") or [{"Name": "Engine", "Version": server.get("Version", "")}]:
        lines.append(f" {component['Name']}:")
        if component["Name"] == "Engine":
            lines += _engine(server)
            continue
        lines += _line(2, "Version", component.get("Version", ""))
        lines += _line(2, "GitCommit", (component.get("Details") or {}).get("GitCommit", ""))
    return "\n".join(lines) + "\n"


def _engine(server: Document) -> list[str]:
    minimum = server.get("MinAPIVersion")
    api = f"{server.get('ApiVersion', '')}{f' (minimum version {minimum})' if minimum else ''}"
    lines = _line(2, "Version", server.get("Version", "")) + _line(2, "API version", api)
    for label, field in _ENGINE[1:]:
        value = server.get(field)
        if value:
            lines += _line(2, label, go_date(value) if field == "BuildTime" else value)
    lines += _line(2, "OS/Arch", f"{server.get('Os', '')}/{server.get('Arch', '')}")
    return lines + _line(2, "Experimental", str(bool(server.get("Experimental"))).lower())


def _line(indent: int, label: str, value: str) -> list[str]:
    return [f"{' ' * indent}{label + ':':<18} {value}"]


def machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def go_date(text: str) -> str:
    """`2026-09-15T11:02:57.000000000+00:00` → `Tue Sep 15 11:02:57 2026`."""
    from datetime import datetime

    head = text[:19]
    try:
        return datetime.fromisoformat(head).strftime("%a %b %e %H:%M:%S %Y")
    except ValueError:
        return text
