"""The OCI runtime `config.json` (runtime-spec 1.2), as far as Argosy writes and reads it.

TypedDicts, since the shim reads this with the standard library alone. `argosy` is ours: the spec asks
runtimes to ignore properties that they do not know.
"""

from typing import Any, TypedDict


class User(TypedDict, total=False):
    uid: int
    gid: int
    umask: int
    additionalGids: list[int]


class Rlimit(TypedDict):
    type: str
    soft: int
    hard: int


class Capabilities(TypedDict, total=False):
    bounding: list[str]
    effective: list[str]
    permitted: list[str]
    inheritable: list[str]
    ambient: list[str]


class ConsoleSize(TypedDict):
    height: int
    width: int


class Process(TypedDict, total=False):
    terminal: bool
    consoleSize: ConsoleSize
    user: User
    args: list[str]
    env: list[str]
    cwd: str
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    apparmorProfile: str
    oomScoreAdj: int
    # Ours: `user[:group]` as in `--user`, looked up in the container's own files when it runs; and
    # the groups of --group-add, by name or number.
    argosyUser: str
    argosyGroups: list[str]


class Root(TypedDict, total=False):
    path: str
    readonly: bool


class RootfsMount(TypedDict):
    type: str
    source: str
    options: list[str]


class Mount(TypedDict, total=False):
    destination: str
    type: str
    source: str
    options: list[str]
    # Ours: for the type `stack`, what is mounted one over the other; and the part of it, or of a bind
    # mount's source, that is taken.
    argosyStack: list[RootfsMount]
    argosySubpath: str


class Namespace(TypedDict, total=False):
    type: str
    path: str


class Device(TypedDict, total=False):
    path: str
    type: str
    major: int
    minor: int
    fileMode: int
    uid: int
    gid: int


class Linux(TypedDict, total=False):
    namespaces: list[Namespace]
    devices: list[Device]
    cgroupsPath: str
    resources: dict[str, Any]
    sysctl: dict[str, str]
    maskedPaths: list[str]
    readonlyPaths: list[str]
    rootfsPropagation: str


class Endpoint(TypedDict):
    """A network interface to make in the container's namespace; `bridge` is an interface index."""

    name: str
    host_name: str
    bridge: int
    mac: str
    mtu: int
    addresses: list[str]
    gateway: str
    # Whether it may reach itself through a port that it publishes.
    hairpin: bool


class Marks(TypedDict):
    """Empty files, and links with their targets, to make in the root unless something is there."""

    files: list[str]
    links: dict[str, str]


class Extension(TypedDict, total=False):
    rootfs: list[RootfsMount]
    endpoints: list[Endpoint]
    seccomp: str
    """Path of a compiled BPF program; absent when unconfined."""
    marks: Marks
    copyUp: list[str]
    """Destinations of volume mounts that take over what the root has there, while they are empty."""


class Config(TypedDict, total=False):
    ociVersion: str
    process: Process
    root: Root
    hostname: str
    domainname: str
    mounts: list[Mount]
    linux: Linux
    annotations: dict[str, str]
    argosy: Extension
