"""Where the engine keeps things, and what can be chosen when it starts."""

import os
from dataclasses import dataclass, field
from ipaddress import IPv4Interface

API_VERSION = "1.51"
MIN_API_VERSION = "1.24"


@dataclass(frozen=True)
class Settings:
    """`root` survives a reboot, `run` need not. Tests run engines of their own beside one another: each
    has its `name`, which its bridge, cgroups and firewall table are called by."""

    root: str = "/var/lib/argosy"
    run: str = "/run/argosy"
    hosts: tuple[str, ...] = ()
    group: str = "argosy"
    name: str = "argosy"
    bridge_address: IPv4Interface | None = None
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    max_concurrent_downloads: int = 3
    max_concurrent_uploads: int = 5
    storage_driver: str = ""
    labels: tuple[str, ...] = field(default=())

    @property
    def socket(self) -> str:
        return os.path.join(self.run, "argosy.sock")

    @property
    def pid_file(self) -> str:
        return os.path.join(self.run, "argosyd.pid")

    @property
    def containers(self) -> str:
        return os.path.join(self.root, "containers")

    @property
    def bundles(self) -> str:
        return os.path.join(self.run, "containers")

    @property
    def rootfs(self) -> str:
        """One directory for all: each container mounts its root there in its own mount namespace."""
        return os.path.join(self.run, "rootfs")

    @property
    def stubs(self) -> str:
        """The lowest layer of every container."""
        return os.path.join(self.root, "stubs")

    @property
    def bridge(self) -> str:
        return f"{self.name}0"

    @property
    def cgroup_parent(self) -> str:
        return f"/{self.name}"
