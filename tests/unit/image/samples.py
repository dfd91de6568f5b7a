"""Tars, layers and archives made for tests by Python's own tarfile."""

import hashlib
import io
import json
import os
import tarfile
from typing import Any

Files = dict[str, bytes]


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def info(name: str, **fields: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.uid, member.gid = os.geteuid(), os.getegid()
    for key, value in fields.items():
        setattr(member, key, value)
    return member


def tar_of(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return output.getvalue()


def layer(files: Files) -> bytes:
    return tar_of(*[(info(name), data) for name, data in files.items()])


def configuration(*layers: bytes, **config: Any) -> bytes:
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-05-06T07:08:09.1Z",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in layers] or None},
            "history": [{"created_by": f"step {number}"} for number in range(len(layers))],
        }
    ).encode()


def docker_archive(*layers: bytes, tags: list[str] | None = None, **config: Any) -> bytes:
    """The form of `docker save` before version 25."""
    document = configuration(*layers, **config)
    name = sha256(document)[7:] + ".json"
    paths = [f"{sha256(data)[7:]}/layer.tar" for data in layers]
    manifest = [{"Config": name, "RepoTags": tags, "Layers": paths}]
    members = [(info(path), data) for path, data in zip(paths, layers, strict=True)]
    members += [(info(name), document), (info("manifest.json"), json.dumps(manifest).encode())]
    return tar_of(*members)


def image_id(archive_config: bytes) -> str:
    return sha256(archive_config)


def oci_layout(*layers: bytes, blobs: list[bytes] | None = None, name: str = "", **config: Any) -> bytes:
    """An OCI image layout; `blobs` are the layers as stored, if they are compressed."""
    document = configuration(*layers, **config)
    stored = list(blobs or layers)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(document, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(data, "application/vnd.oci.image.layer.v1.tar") for data in stored],
        }
    ).encode()
    entry = descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")
    if name:
        entry["annotations"] = {"io.containerd.image.name": name}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    members = [(info("blobs/sha256/" + sha256(data)[7:]), data) for data in (document, *stored, manifest)]
    return tar_of(
        (info("oci-layout"), b'{"imageLayoutVersion":"1.0.0"}'), *members, (info("index.json"), index)
    )


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}
