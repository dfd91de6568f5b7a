"""Contexts as Docker's client keeps them: a named engine each, below the configuration's folder.

    contexts/meta/<SHA-256 of the name>/meta.json          name, description, endpoint
    contexts/tls/<SHA-256 of the name>/docker/ca.pem …     what its TLS needs

`default` is none of them: it stands for what the environment and the global options say.
"""

from __future__ import annotations

import os
import sys

from argosy.cli import config_file
from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "default"
DEFAULT_DESCRIPTION = "Current DOCKER_HOST based configuration"
ENDPOINT = "docker"
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")
_NAME = "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"


class Endpoint:
    """Where the engine is. `tls` is the content of files by their names."""

    def __init__(self, host: str, *, skip_verify: bool = False, tls: dict[str, bytes] | None = None) -> None:
        self.host = host
        self.skip_verify = skip_verify
        self.tls = tls or {}


class Kept:
    """A context: its metadata as they are in the file, whoever wrote them, and the TLS files' content."""

    def __init__(self, name: str, document: dict[str, Any], tls: dict[str, bytes]) -> None:
        self.name = name
        self.document = document
        self.tls = tls

    @property
    def description(self) -> str:
        return str((self.document.get("Metadata") or {}).get("Description") or "")

    @description.setter
    def description(self, text: str) -> None:
        metadata = {**(self.document.get("Metadata") or {}), "Description": text}
        self.document["Metadata"] = metadata if text else {}

    @property
    def endpoint(self) -> Endpoint:
        found = (self.document.get("Endpoints") or {}).get(ENDPOINT) or {}
        return Endpoint(
            str(found.get("Host") or ""), skip_verify=bool(found.get("SkipTLSVerify")), tls=self.tls
        )

    @endpoint.setter
    def endpoint(self, endpoint: Endpoint) -> None:
        host = {"Host": endpoint.host} if endpoint.host else {}
        document = {**host, "SkipTLSVerify": endpoint.skip_verify}
        self.document["Endpoints"] = {**(self.document.get("Endpoints") or {}), ENDPOINT: document}
        self.tls = endpoint.tls


def new(name: str, description: str, endpoint: Endpoint) -> Kept:
    made = Kept(name, {"Name": name, "Metadata": {}, "Endpoints": {}}, {})
    made.description, made.endpoint = description, endpoint
    return made


def check_name(name: str) -> None:
    """Raises Failure."""
    import re

    if name == DEFAULT:
        raise Failure(f'"{DEFAULT}" is a reserved context name')
    if not re.fullmatch(_NAME[1:-1], name):
        raise Failure(f'context name "{name}" is invalid, names are validated against regexp "{_NAME}"')


def metadata_folder(name: str) -> str:
    return _folder("meta", name)


def tls_folder(name: str) -> str:
    return _folder("tls", name)


def _folder(kind: str, name: str) -> str:
    import hashlib

    return os.path.join(config_file.folder(), "contexts", kind, hashlib.sha256(name.encode()).hexdigest())


def exists(name: str) -> bool:
    return os.path.exists(os.path.join(metadata_folder(name), "meta.json"))


def load(name: str) -> Kept:
    """Raises Failure in Docker's words."""
    path = os.path.join(metadata_folder(name), "meta.json")
    try:
        document = _read(path)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Failure(f'context "{name}": context not found: open {path}: {reason}') from None
    except ValueError as error:
        raise Failure(f'context "{name}": parsing {path}: {error}') from None
    return Kept(name, document, _read_tls(os.path.join(tls_folder(name), ENDPOINT)))


def save_aloud(kept: Kept, done: str) -> int:
    """As `save`, and says as Docker does what was done. The exit code."""
    save(kept)
    print(kept.name)
    sys.stderr.write(f'Successfully {done} context "{kept.name}"\n')
    return 0


def all_contexts() -> list[Kept]:
    """In the order of their names. Raises Failure."""
    from argosy.cli.listing import natural

    folder = os.path.join(config_file.folder(), "contexts", "meta")
    found = []
    for entry in os.listdir(folder) if os.path.isdir(folder) else []:
        path = os.path.join(folder, entry, "meta.json")
        try:
            document = _read(path)
        except OSError:
            continue
        except ValueError as error:
            raise Failure(f"failed to read metadata: parsing {path}: {error}") from None
        found.append(Kept(str(document.get("Name") or ""), document, {}))
    return sorted(found, key=lambda kept: natural(kept.name))


def save(kept: Kept) -> None:
    """Raises Failure."""
    import json

    folder = metadata_folder(kept.name)
    try:
        os.makedirs(folder, exist_ok=True)
        text = json.dumps({**kept.document, "Name": kept.name}, separators=(",", ":"), ensure_ascii=False)
        _write(os.path.join(folder, "meta.json"), text.encode(), 0o644)
        _save_tls(kept)
    except OSError as error:
        raise Failure(f"cannot write the context to {error.filename}: {error.strerror}") from None


def _save_tls(kept: Kept) -> None:
    _remove_tree(tls_folder(kept.name))
    if not kept.tls:
        return
    folder = os.path.join(tls_folder(kept.name), ENDPOINT)
    os.makedirs(os.path.dirname(os.path.dirname(folder)), mode=0o700, exist_ok=True)
    os.makedirs(os.path.dirname(folder), mode=0o700)
    os.makedirs(folder, mode=0o700)
    for name, content in kept.tls.items():
        _write(os.path.join(folder, name), content, 0o600)


def remove(name: str) -> None:
    _remove_tree(metadata_folder(name))
    _remove_tree(tls_folder(name))


def _remove_tree(path: str) -> None:
    import shutil

    if os.path.isdir(path):
        shutil.rmtree(path)


def _read(path: str) -> dict[str, Any]:
    """Raises OSError, ValueError."""
    import json

    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def _read_tls(folder: str) -> dict[str, bytes]:
    found = {}
    for name in TLS_FILES:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                found[name] = file.read()
        except OSError:
            continue
    return found


def _write(path: str, content: bytes, mode: int) -> None:
    """Whole or not at all."""
    temporary = f"{path}.{os.getpid()}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
    os.replace(temporary, path)
