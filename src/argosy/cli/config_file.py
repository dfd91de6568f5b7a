"""The client's `config.json`, which it shares with Docker's: logins, and the context in use."""

from __future__ import annotations

import os

from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def folder() -> str:
    return os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")


def path() -> str:
    return os.path.join(folder(), "config.json")


def read() -> dict[str, Any]:
    """Raises Failure."""
    import json

    try:
        with open(path(), encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Failure(f"Error loading config file: {path()}: {error}") from None
    return found if isinstance(found, dict) else {}


def write(config: dict[str, Any]) -> None:
    """For its owner's eyes only, and whole or not at all; what others wrote into it stays. Raises Failure."""
    import json

    target = os.path.realpath(path())
    temporary = f"{target}.{os.getpid()}.new"
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(config, indent="\t"))
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except OSError as error:
        raise Failure(f"Error saving config file: {target}: {error.strerror}") from None


def current_context() -> str:
    """The one in use, or "". Every command asks: the file is only parsed if it says something of it."""
    try:
        with open(path(), "rb") as file:
            data = file.read()
    except OSError:
        return ""
    return str(read().get("currentContext") or "") if b'"currentContext"' in data else ""
