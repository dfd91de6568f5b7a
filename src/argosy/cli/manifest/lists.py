"""Manifest lists in the making: a directory for each below the configuration's, a file for each manifest."""

from __future__ import annotations

import base64
import json
import os
import shutil

from argosy.cli import config_file, credentials
from argosy.cli.failure import Failure
from argosy.cli.reference import Reference, parse
from argosy.client.docker import REGISTRY_AUTH, quote
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from argosy.client.docker import Client

    Entry = dict[str, Any]

_NOT_FOUND = 404
LIST_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def reference(text: str) -> Reference:
    """Raises Failure."""
    try:
        return parse(text).tagged()
    except ValueError as error:
        raise Failure(f"error parsing name for manifest list {text}: {error}") from None


def fetch(client: Client, image: Reference) -> Entry:
    """A registry's manifest: its name, descriptor with platform, and bytes. Raises APIError, Failure."""
    path, headers = f"/distribution/{quote(image.complete, b'/:@')}", _headers(image)
    try:
        response = client.call("GET", f"{path}/manifest", None, None, headers)
    except APIError as error:
        if error.status == _NOT_FOUND:
            raise Failure(f"no such manifest: {image.complete}") from None
        raise
    media_type = response.headers.get("content-type", "")
    digest = response.headers.get("docker-content-digest", "")
    raw = response.read()
    entry: Entry = {
        "Ref": image.complete,
        "Descriptor": {"mediaType": media_type, "digest": digest, "size": len(raw)},
        "Raw": base64.b64encode(raw).decode(),
    }
    if not is_index(entry):
        platforms = client.call("GET", f"{path}/json", None, None, headers).json()["Platforms"]
        if platforms:
            entry["Descriptor"]["platform"] = platforms[0]
    return entry


def fetch_all(client: Client, name: Reference, index: Entry) -> list[Entry]:
    """The manifests of a registry's list. Raises APIError, Failure."""
    found = []
    for descriptor in document(index)["manifests"]:
        image = Reference(name.domain, name.path, name.tag, descriptor["digest"])
        entry = fetch(client, image)
        entry["Descriptor"]["platform"] = descriptor.get("platform") or {}
        found.append(entry)
    return found


def is_index(entry: Entry) -> bool:
    return entry["Descriptor"]["mediaType"] in (LIST_TYPE, INDEX_TYPE)


def document(entry: Entry) -> Any:
    return json.loads(base64.b64decode(entry["Raw"]))


def load(name: Reference) -> list[Entry]:
    """The manifests of a list, in the order in which they came. Raises Failure."""
    folder = _folder(name)
    if not os.path.isdir(folder):
        raise Failure(f"No such manifest: {name.complete}")
    entries = []
    for file_name in os.listdir(folder):
        with open(os.path.join(folder, file_name), encoding="utf-8") as file:
            entries.append(json.load(file))
    return sorted(entries, key=lambda entry: entry.get("Added", 0))


def exists(name: Reference) -> bool:
    return os.path.isdir(_folder(name))


def save(name: Reference, entry: Entry) -> None:
    folder = _folder(name)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    path = os.path.join(folder, _file_name(entry["Ref"]))
    entry.setdefault("Added", len(os.listdir(folder)))
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(entry, file)
    os.replace(path + ".new", path)


def remove(name: Reference) -> None:
    """Raises Failure."""
    if not exists(name):
        raise Failure(f"No such manifest: {name.complete}")
    shutil.rmtree(_folder(name))


def index(entries: list[Entry]) -> bytes:
    """The list as it goes to a registry. Raises Failure for a manifest without a platform."""
    manifests = []
    for entry in entries:
        descriptor = entry["Descriptor"]
        platform = descriptor.get("platform") or {}
        if not platform.get("architecture") or not platform.get("os"):
            raise Failure(
                f"manifest {entry['Ref']} must have an OS and Architecture to be pushed to a registry: "
                "argosy manifest annotate says them"
            )
        manifests.append(
            {
                "mediaType": descriptor["mediaType"],
                "size": descriptor["size"],
                "digest": descriptor["digest"],
                "platform": platform,
            }
        )
    whole = {"schemaVersion": 2, "mediaType": LIST_TYPE, "manifests": manifests}
    return json.dumps(whole, indent=3).encode()


def push(client: Client, target: Reference, data: bytes, sources: dict[str, str]) -> str:
    """Returns the digest. Raises APIError."""
    body = json.dumps({"Raw": base64.b64encode(data).decode(), "Sources": sources}).encode()
    headers = ("Content-Type: application/json", *_headers(target))
    path = f"/distribution/{quote(target.complete, b'/:@')}/manifest"
    return str(client.call("PUT", path, None, body, headers).json()["Digest"])


def _headers(image: Reference) -> tuple[str, ...]:
    known = credentials.authorization(image.domain)
    return (f"{REGISTRY_AUTH}: {known}",) if known else ()


def _folder(name: Reference) -> str:
    return os.path.join(config_file.folder(), "manifests", _file_name(name.complete))


def _file_name(text: str) -> str:
    return text.replace("/", "_").replace(":", "-").replace("@", "_")
