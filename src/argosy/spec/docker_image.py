"""The Engine API's answers about images, as dockerd 28 gives them.

A field that dockerd leaves out when it is empty defaults to UNSET; every other field is always written,
null included.
"""

import msgspec
from msgspec import UNSET, UnsetType

from argosy.spec.oci_image import Healthcheck


class ImageSummary(msgspec.Struct, rename="pascal"):
    """`GET /images/json`. `containers` and `shared_size` are -1 where they were not worked out."""

    id: str
    parent_id: str
    repo_tags: list[str]
    repo_digests: list[str]
    created: int
    size: int
    shared_size: int
    labels: dict[str, str] | None
    containers: int


class InspectConfig(msgspec.Struct, rename="pascal"):
    cmd: list[str] | None
    entrypoint: list[str] | None
    env: list[str] | None
    labels: dict[str, str] | None
    on_build: list[str] | None
    user: str
    volumes: dict[str, dict[str, str]] | None
    working_dir: str
    exposed_ports: dict[str, dict[str, str]] | UnsetType = UNSET
    healthcheck: Healthcheck | UnsetType = UNSET
    shell: list[str] | UnsetType = UNSET
    stop_signal: str | UnsetType = UNSET
    args_escaped: bool | UnsetType = UNSET


class GraphDriver(msgspec.Struct, rename="pascal"):
    name: str
    data: dict[str, str]


class RootFS(msgspec.Struct, rename="pascal"):
    type: str
    layers: list[str] | UnsetType = UNSET


class Metadata(msgspec.Struct, rename="pascal"):
    last_tag_time: str


class ImageInspect(msgspec.Struct, rename="pascal"):
    """`GET /images/{name}/json`."""

    id: str
    repo_tags: list[str]
    repo_digests: list[str]
    parent: str
    comment: str
    docker_version: str
    author: str
    config: InspectConfig
    architecture: str
    os: str
    size: int
    graph_driver: GraphDriver
    root_fs: RootFS = msgspec.field(name="RootFS")
    metadata: Metadata
    created: str | UnsetType = UNSET
    variant: str | UnsetType = UNSET
    os_version: str | UnsetType = UNSET


class HistoryResponseItem(msgspec.Struct, rename="pascal"):
    """`GET /images/{name}/history`, newest first."""

    id: str
    created: int
    created_by: str
    tags: list[str] | None
    size: int
    comment: str


class ImageDeleteResponseItem(msgspec.Struct, rename="pascal"):
    untagged: str | UnsetType = UNSET
    deleted: str | UnsetType = UNSET


class ImagePruneResponse(msgspec.Struct, rename="pascal"):
    images_deleted: list[ImageDeleteResponseItem] | None
    space_reclaimed: int
