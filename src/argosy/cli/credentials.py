"""Registry logins of `config.json`: read for the engine, stored and erased.

Logins are in the file itself, or with a credential helper: a program `docker-credential-NAME` that takes
`get`, `store` and `erase` and speaks JSON (the credential helpers' protocol).
"""

from __future__ import annotations

import base64
import json

from argosy.cli import config_file
from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"


def authorization(domain: str) -> str:
    """The value of X-Registry-Auth for a registry; empty where nothing is known of it."""
    key = HUB_KEY if domain == _HUB else domain
    found = load(key)
    return encode({**found, "serveraddress": key}) if found else ""


def encode(fields: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


def load(key: str) -> dict[str, str]:
    """username and password, or identitytoken; empty where nothing is known. Raises Failure."""
    config = config_file.read()
    return _from_helper(config, key) or _from_file(config, key)


def all_logins() -> dict[str, dict[str, str]]:
    """Of every registry that the configuration names, by its key. Raises Failure."""
    config = config_file.read()
    keys = {*(config.get("auths") or {}), *(config.get("credHelpers") or {})}
    found = {key: load(key) for key in sorted(keys)}
    return {key: login for key, login in found.items() if login}


def store(key: str, fields: dict[str, str]) -> bool:
    """Keep a login; whether it went unencrypted into the file, and was not there. Raises Failure."""
    config = config_file.read()
    helper = _helper(config, key)
    if helper:
        token = fields.get("identitytoken", "")
        secret = {
            "ServerURL": key,
            "Username": _TOKEN_USER if token else fields.get("username", ""),
            "Secret": token or fields.get("password", ""),
        }
        _ask(helper, "store", json.dumps(secret))
        config.setdefault("auths", {})[key] = {}
        config_file.write(config)
        return False
    before = (config.get("auths") or {}).get(key)
    entry: dict[str, str] = {}
    if fields.get("identitytoken"):
        entry["auth"] = base64.b64encode(f"{fields.get('username', '')}:".encode()).decode()
        entry["identitytoken"] = fields["identitytoken"]
    else:
        pair = f"{fields.get('username', '')}:{fields.get('password', '')}"
        entry["auth"] = base64.b64encode(pair.encode()).decode()
    if not isinstance(config.get("auths"), dict):
        config["auths"] = {}
    config["auths"][key] = entry
    config_file.write(config)
    return before != entry


def erase(key: str) -> None:
    """Idempotent. Raises Failure."""
    config = config_file.read()
    helper = _helper(config, key)
    if helper:
        _ask(helper, "erase", key)
    auths = config.get("auths")
    if isinstance(auths, dict):
        for name in [name for name in auths if name == key or _host(name) == _host(key)]:
            del auths[name]
        config_file.write(config)


def _helper(config: dict[str, Any], key: str) -> str:
    return (config.get("credHelpers") or {}).get(key) or config.get("credsStore") or ""


def _ask(helper: str, action: str, given: str) -> str:
    """Raises Failure with what the helper says."""
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        answer = subprocess.run([program, action], input=given.encode(), capture_output=True, check=False)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "executable file not found in $PATH" if missing else error.strerror
        raise Failure(f'error from the credential helper: exec: "{program}": {reason}') from None
    output = answer.stdout.decode(errors="replace").strip()
    if answer.returncode:
        said = output or answer.stderr.decode(errors="replace").strip()
        raise Failure(f"error from {program} {action}: {said}")
    return output


def _from_helper(config: dict[str, Any], key: str) -> dict[str, str]:
    helper = _helper(config, key)
    if not helper:
        return {}
    try:
        document = json.loads(_ask(helper, "get", key))
    except (Failure, ValueError):
        # A helper that knows nothing of a registry fails; what is asked goes on without a login.
        return {}
    if document.get("Username") == _TOKEN_USER:
        return {"identitytoken": document.get("Secret", "")}
    return {"username": document.get("Username", ""), "password": document.get("Secret", "")}


def _from_file(config: dict[str, Any], key: str) -> dict[str, str]:
    for name, entry in (config.get("auths") or {}).items():
        if name != key and (key == HUB_KEY or _host(name) != key):
            continue
        user, password = _decoded(entry.get("auth") or "", name)
        if entry.get("identitytoken"):
            return {"username": user, "identitytoken": entry["identitytoken"]}
        if user:
            return {"username": user, "password": password}
        if entry.get("username"):
            return {"username": entry["username"], "password": entry.get("password", "")}
    return {}


def _decoded(auth: str, name: str) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:
        raise Failure(
            f"{config_file.path()} holds no valid login for {name}: log in again with argosy login {name}"
        ) from None
    return user, password.rstrip("\0")


def _host(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]
