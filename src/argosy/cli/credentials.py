"""Registry logins of `config.json`, as the header that the engine passes on."""

from __future__ import annotations

import base64
import json
import os

from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"


def authorization(domain: str) -> str:
    """The value of X-Registry-Auth for a registry; empty where nothing is known of it."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    path = os.path.join(folder, "config.json")
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise Failure(f"Error loading config file: {path}: {error}") from None
    key = _HUB_KEY if domain == _HUB else domain
    found = _from_helper(config, key) or _from_file(config, key)
    if not found:
        return ""
    return base64.urlsafe_b64encode(json.dumps({**found, "serveraddress": key}).encode()).decode()


def _from_helper(config: dict[str, Any], key: str) -> dict[str, str]:
    helper = (config.get("credHelpers") or {}).get(key) or config.get("credsStore")
    if not helper:
        return {}
    import subprocess

    try:
        answer = subprocess.run(
            [f"docker-credential-{helper}", "get"], input=key.encode(), capture_output=True, check=True
        )
        document = json.loads(answer.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        # A helper that knows nothing of a registry fails; the pull goes on without a login.
        return {}
    if document.get("Username") == _TOKEN_USER:
        return {"identitytoken": document.get("Secret", "")}
    return {"username": document.get("Username", ""), "password": document.get("Secret", "")}


def _from_file(config: dict[str, Any], key: str) -> dict[str, str]:
    for name, entry in (config.get("auths") or {}).items():
        host = name.removeprefix("https://").removeprefix("http://").partition("/")[0]
        if name != key and (key == _HUB_KEY or host != key):
            continue
        if entry.get("identitytoken"):
            return {"identitytoken": entry["identitytoken"]}
        if entry.get("auth"):
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
            return {"username": user, "password": password.rstrip("\0")}
        if entry.get("username"):
            return {"username": entry["username"], "password": entry.get("password", "")}
    return {}
