"""/_ping, /version, /info, /events, /auth, /system/df."""

import asyncio
import os
import platform
import time
from collections import Counter
from typing import Any

import argosy
from argosy.api import parameters
from argosy.api.http import Request, Response, document
from argosy.api.router import Router
from argosy.build.builder import Builder
from argosy.build.usage import Entry
from argosy.engine import report
from argosy.engine.core import Engine
from argosy.engine.lifecycle import Status
from argosy.engine.listing import has_labels
from argosy.engine.settings import API_VERSION, MIN_API_VERSION
from argosy.errors import InvalidParameter
from argosy.linux import cgroup
from argosy.units import NANOSECONDS, rfc3339
from argosy.volume import usage

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_EVENT_FILTERS = set(
    "config container daemon event image label network node plugin scope secret service type volume".split()
)


def server_headers() -> list[tuple[str, str]]:
    return [
        ("Api-Version", API_VERSION),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Server", f"Argosy/{argosy.__version__} (linux)"),
    ]


class System:
    def __init__(self, engine: Engine, builder: Builder) -> None:
        self._engine = engine
        self._builder = builder

    def route(self, router: Router) -> None:
        router.add("GET", "/_ping", self.ping)
        router.add("HEAD", "/_ping", self.ping)
        router.add("GET", "/version", self.version)
        router.add("GET", "/info", self.info)
        router.add("GET", "/events", self.events)
        router.add("GET", "/system/df", self.disk_usage)

    async def ping(self, request: Request) -> Response:
        headers = [
            ("Builder-Version", "2"),
            ("Swarm", "inactive"),
            ("Cache-Control", "no-cache, no-store, must-revalidate"),
            ("Pragma", "no-cache"),
            ("Content-Type", "text/plain; charset=utf-8"),
        ]
        return Response(b"OK", headers=headers)

    async def version(self, request: Request) -> Response:
        kernel = platform.release()
        architecture = _architecture()
        details = {
            "ApiVersion": API_VERSION,
            "Arch": architecture,
            "Experimental": "false",
            "KernelVersion": kernel,
            "MinAPIVersion": MIN_API_VERSION,
            "Os": "linux",
            "PythonVersion": platform.python_version(),
        }
        return document(
            {
                "Platform": {"Name": "Argosy"},
                "Components": [{"Name": "Engine", "Version": argosy.__version__, "Details": details}],
                "Version": argosy.__version__,
                "ApiVersion": API_VERSION,
                "MinAPIVersion": MIN_API_VERSION,
                "GitCommit": "",
                "GoVersion": "",
                "Os": "linux",
                "Arch": architecture,
                "KernelVersion": kernel,
            }
        )

    async def info(self, request: Request) -> Response:
        return document(await self._engine.in_thread(self._info))

    def _info(self) -> dict[str, Any]:
        engine = self._engine
        containers = engine.containers.all()
        controllers = set(cgroup.controllers())
        registries = [f"{name}" for name in engine.settings.insecure_registries]
        return {
            "ID": engine.networks.id_of("bridge"),
            "Containers": len(containers),
            "ContainersRunning": sum(c.status == Status.RUNNING for c in containers),
            "ContainersPaused": sum(c.status == Status.PAUSED for c in containers),
            "ContainersStopped": sum(not c.status.is_alive() for c in containers),
            "Images": len(engine.images.list()),
            "Driver": engine.images.snapshotter.driver,
            "DriverStatus": [
                ["Backing Filesystem", _file_system(engine.settings.root)],
                ["Chosen because", engine.images.storage_reason],
            ],
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "null"],
                "Authorization": None,
                "Log": ["json-file", "local", "none"],
            },
            "MemoryLimit": "memory" in controllers,
            "SwapLimit": "memory" in controllers,
            "CpuCfsPeriod": "cpu" in controllers,
            "CpuCfsQuota": "cpu" in controllers,
            "CPUShares": "cpu" in controllers,
            "CPUSet": "cpuset" in controllers,
            "PidsLimit": "pids" in controllers,
            "IPv4Forwarding": True,
            "Debug": False,
            "NFd": len(os.listdir("/proc/self/fd")),
            "OomKillDisable": cgroup.version() == 1,
            "NGoroutines": 0,
            "SystemTime": rfc3339(time.time_ns()),
            "LoggingDriver": "json-file",
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": str(cgroup.version()),
            "NEventsListener": 0,
            "KernelVersion": platform.release(),
            "OperatingSystem": _os_release().get("PRETTY_NAME", "Linux"),
            "OSVersion": _os_release().get("VERSION_ID", ""),
            "OSType": "linux",
            "Architecture": platform.machine(),
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": {
                "IndexConfigs": {
                    "docker.io": {
                        "Mirrors": list(engine.settings.registry_mirrors),
                        "Name": "docker.io",
                        "Official": True,
                        "Secure": True,
                    }
                },
                "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", *registries],
                "Mirrors": list(engine.settings.registry_mirrors) or None,
            },
            "NCPU": os.cpu_count() or 1,
            "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "GenericResources": None,
            "DockerRootDir": engine.settings.root,
            "HttpProxy": os.environ.get("HTTP_PROXY", ""),
            "HttpsProxy": os.environ.get("HTTPS_PROXY", ""),
            "NoProxy": os.environ.get("NO_PROXY", ""),
            "Name": platform.node(),
            "Labels": list(engine.settings.labels),
            "ExperimentalBuild": False,
            "ServerVersion": argosy.__version__,
            "Runtimes": {"argosy": {"path": "argosy-shim"}},
            "DefaultRuntime": "argosy",
            "Swarm": {
                "NodeID": "",
                "NodeAddr": "",
                "LocalNodeState": "inactive",
                "ControlAvailable": False,
                "Error": "",
                "RemoteManagers": None,
            },
            "LiveRestoreEnabled": True,
            "Isolation": "",
            "InitBinary": "",
            "ContainerdCommit": {"ID": ""},
            "RuncCommit": {"ID": ""},
            "InitCommit": {"ID": ""},
            "SecurityOptions": (["name=apparmor"] if self._engine.apparmor.is_enabled else [])
            + ["name=seccomp,profile=builtin"]
            + (["name=cgroupns"] if os.path.exists("/proc/self/ns/cgroup") else []),
            "FirewallBackend": {"Driver": "nftables"},
            "Warnings": None,
        }

    async def events(self, request: Request) -> None:
        filters = request.filters()
        for key in filters:
            if key not in _EVENT_FILTERS:
                raise InvalidParameter(f"invalid filter '{key}'")
        since, until = parameters.moment(request, "since"), parameters.moment(request, "until")

        def wanted(event: dict[str, Any]) -> bool:
            return _event_matches(event, filters)

        events = self._engine.events
        queue = events.listen()
        try:
            stream = await request.stream()
            if since or until:
                for event in events.recent(lambda e: since <= e["timeNano"] <= (until or e["timeNano"])):
                    if wanted(event):
                        await stream.send(event)
            while True:
                patience = None if not until else (until - time.time_ns()) / NANOSECONDS
                if patience is not None and patience <= 0:
                    return
                try:
                    event_or_end = await asyncio.wait_for(queue.get(), patience)
                except TimeoutError:
                    return
                if event_or_end is None:
                    return
                if wanted(event_or_end):
                    await stream.send(event_or_end)
        finally:
            events.forget(queue)

    async def disk_usage(self, request: Request) -> Response:
        return document(await self._engine.in_thread(self._disk_usage))

    def _disk_usage(self) -> dict[str, Any]:
        engine = self._engine
        volumes = []
        for volume in engine.volumes.all():
            if volume.options:
                # What they mount need not be on this disk.
                continue
            volumes.append(
                {
                    "CreatedAt": rfc3339(volume.created),
                    "Driver": "local",
                    "Labels": volume.labels or None,
                    "Mountpoint": volume.path,
                    "Name": volume.name,
                    "Options": volume.options or None,
                    "Scope": "local",
                    "UsageData": {
                        "RefCount": len(engine.volume_users(volume.name)),
                        "Size": usage.size(volume.path),
                    },
                }
            )
        used = Counter(container.spec.image for container in engine.containers.all())
        return {
            "LayersSize": engine.images.layers_size(),
            "Images": engine.images.list(shared_size=True, containers=lambda: used),
            "Containers": [report.summary(engine, c, size=True) for c in engine.containers.all()],
            "Volumes": volumes,
            "BuildCache": [_cache_entry(entry) for entry in self._builder.usage.entries()],
        }


def _cache_entry(entry: Entry) -> dict[str, Any]:
    found = {
        "ID": entry.id,
        "Type": entry.kind,
        "Description": entry.description,
        "InUse": entry.in_use,
        "Shared": entry.shared,
        "Size": entry.size,
        "CreatedAt": rfc3339(entry.created),
        "LastUsedAt": rfc3339(entry.last_used),
        "UsageCount": entry.uses,
    }
    return {**found, "Parents": list(entry.parents)} if entry.parents else found


def _event_matches(event: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    kind, actor = event["Type"], event["Actor"]
    for key, values in filters.items():
        if key == "type":
            matched = kind in values
        elif key == "event":
            matched = event["Action"] in values or event["Action"].partition(":")[0] in values
        elif key == "label":
            matched = has_labels(actor["Attributes"], values)
        elif key == "scope":
            matched = "local" in values
        elif key == "image":
            names = (actor["ID"], actor["Attributes"].get("name"), actor["Attributes"].get("image"))
            matched = any(value in names for value in values)
        else:
            matched = kind == key and any(
                actor["ID"].startswith(value) or actor["Attributes"].get("name") == value for value in values
            )
        if not matched:
            return False
    return True


def _architecture() -> str:
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _file_system(path: str) -> str:
    """The type of the file system that holds `path`."""
    best, kind = "", "unknown"
    with open("/proc/self/mounts") as table:
        for line in table:
            _, mountpoint, fstype, *_ = line.split()
            if (path + "/").startswith(mountpoint.rstrip("/") + "/") and len(mountpoint) >= len(best):
                best, kind = mountpoint, fstype
    return kind
