"""Containers and images to try the engine's pure parts on."""

from typing import Any

from argosy.engine.container import Attachment, Container, Spec, State
from argosy.engine.lifecycle import Status
from argosy.image import ImageRecord
from argosy.spec import oci_image
from argosy.spec.docker_container import ContainerConfig, HostConfig, MountPoint


def spec(identifier: str = "c" * 64, **changes: Any) -> Spec:
    values: dict[str, Any] = {
        "id": identifier,
        "name": "web",
        "created": 1,
        "image": "sha256:" + "1" * 64,
        "chain_id": "",
        "path": "sh",
        "args": ["-c", "true"],
        "config": ContainerConfig(hostname="host"),
        "host": HostConfig(),
        "networks": {},
        "mounts": [],
        **changes,
    }
    return Spec(**values)


def container(
    name: str = "web",
    identifier: str = "c" * 64,
    *,
    status: Status = Status.RUNNING,
    exit_code: int = 0,
    created: int = 1,
    ports: list[tuple[str, int, str, int]] | None = None,
    labels: dict[str, str] | None = None,
    exposed: list[str] | None = None,
    mounts: list[MountPoint] | None = None,
    **host: Any,
) -> Container:
    config = ContainerConfig(labels=labels, exposed_ports={port: {} for port in exposed or []})
    attachment = Attachment("bridge", "e", "10.0.0.2", ports) if ports else None
    return Container(
        spec(
            identifier,
            name=name,
            created=created,
            config=config,
            host=HostConfig(**{"network_mode": "bridge", **host}),
            mounts=mounts or [],
        ),
        State(status=status, exit_code=exit_code, attachment=attachment),
    )


def image(**config: Any) -> ImageRecord:
    given = oci_image.ImageConfig(**config)
    document = oci_image.Image(architecture="amd64", os="linux", config=given)
    return ImageRecord("sha256:" + "1" * 64, None, given, document, (), (), 0, 0, "", 0)
