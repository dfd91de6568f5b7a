"""`argosy context use`."""

from __future__ import annotations

import os
import sys

from argosy.cli import config_file
from argosy.cli.contexts import store
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command("CONTEXT", "Set the current context", arguments=(1, 1))


def run(context: Context, options: Options, arguments: list[str]) -> int:
    name = arguments[0]
    if name != store.DEFAULT:
        store.check_name(name)
        store.load(name)
    keep(name)
    print(name)
    sys.stderr.write(f'Current context is now "{name}"\n')
    if name != store.DEFAULT:
        warn_if_overridden(f'"{name}"')
    return 0


def warn_if_overridden(what: str) -> None:
    for variable in ("ARGOSY_HOST", "DOCKER_HOST"):
        if os.environ.get(variable):
            sys.stderr.write(
                f"Warning: {variable} environment variable overrides the active context. To use {what}, "
                f"either set the global --context flag, or unset {variable} environment variable.\n"
            )
            return


def keep(name: str) -> None:
    """Raises Failure."""
    config = config_file.read()
    before = config.pop("currentContext", None)
    if name != store.DEFAULT:
        config["currentContext"] = name
    config = {"auths": {}, **config}
    if before != config.get("currentContext"):
        config_file.write(config)
