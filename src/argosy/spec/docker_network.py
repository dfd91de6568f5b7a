"""The Engine API's documents about networks and volumes."""

from typing import Any

import msgspec
from msgspec import field


class Ipam(msgspec.Struct, rename="pascal"):
    driver: str = "default"
    options: dict[str, str] | None = None
    config: list[dict[str, str]] | None = None


class Network(msgspec.Struct, rename="pascal", kw_only=True):
    name: str
    id: str
    created: str
    scope: str = "local"
    driver: str
    enable_ipv4: bool = field(default=True, name="EnableIPv4")
    enable_ipv6: bool = field(default=False, name="EnableIPv6")
    ipam: Ipam = field(default_factory=Ipam, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_from: dict[str, str] = field(default_factory=lambda: {"Network": ""})
    config_only: bool = False
    containers: dict[str, dict[str, str]] = {}
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class VolumeReport(msgspec.Struct, rename="pascal"):
    created_at: str
    driver: str
    labels: dict[str, str] | None
    mountpoint: str
    name: str
    options: dict[str, str] | None
    scope: str = "local"


class VolumeCreate(msgspec.Struct, rename="pascal"):
    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: Any = None


class VolumeList(msgspec.Struct, rename="pascal"):
    volumes: list[VolumeReport]
    warnings: list[str] | None = None
