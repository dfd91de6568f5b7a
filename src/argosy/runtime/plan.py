"""From an OCI config.json to the operations that make it true. Pure: nothing here touches the world."""

from typing import Any

from argosy.linux import mount, namespaces
from argosy.runtime import mounting
from argosy.runtime import operations as op
from argosy.spec.oci_runtime import Config, Device, Mount, Process, RootfsMount

# runtime-spec, "Default Devices".
_DEFAULT_DEVICES: tuple[Device, ...] = (
    {"path": "/dev/null", "type": "c", "major": 1, "minor": 3},
    {"path": "/dev/zero", "type": "c", "major": 1, "minor": 5},
    {"path": "/dev/full", "type": "c", "major": 1, "minor": 7},
    {"path": "/dev/random", "type": "c", "major": 1, "minor": 8},
    {"path": "/dev/urandom", "type": "c", "major": 1, "minor": 9},
    {"path": "/dev/tty", "type": "c", "major": 5, "minor": 0},
)
_DEVICE_LINKS = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
)
_PROPAGATION = {
    "": mount.MS_PRIVATE | mount.MS_REC,
    "private": mount.MS_PRIVATE | mount.MS_REC,
    "rprivate": mount.MS_PRIVATE | mount.MS_REC,
    "slave": mount.MS_SLAVE | mount.MS_REC,
    "rslave": mount.MS_SLAVE | mount.MS_REC,
    "shared": mount.MS_SHARED | mount.MS_REC,
    "rshared": mount.MS_SHARED | mount.MS_REC,
}
# The PID namespace is made by the clone itself; the cgroup namespace must come after joining the
# group that shall be its root.
BY_CLONE = ("pid",)


def clone_flags(config: Config) -> int:
    """The namespaces that the shim's clone3 must make."""
    return sum(
        namespaces.NAMESPACES[entry["type"]][0]
        for entry in config["linux"].get("namespaces", [])
        if entry["type"] in BY_CLONE and not entry.get("path")
    )


def pid_namespace(config: Config) -> str:
    """The path of the PID namespace to be born in, or ""."""
    entries = config["linux"].get("namespaces", [])
    return next((entry["path"] for entry in entries if entry["type"] == "pid" and entry.get("path")), "")


def plan_init(config: Config) -> list[op.Operation]:
    """Everything between the clone of a container's first process and its exec."""
    linux = config["linux"]
    process = config["process"]
    extension = config.get("argosy", {})
    new = {entry["type"] for entry in linux.get("namespaces", []) if not entry.get("path")}
    steps: list[op.Operation] = []
    # The group's device rules forbid it.
    stacks = [("", _root_mounts(config))]
    stacks += [
        (entry["destination"], _stack(entry)) for entry in config.get("mounts", []) if _is_stack(entry)
    ]
    for place, stack in stacks:
        layers = tuple(each for each in stack[:-1] if each[1].startswith("/dev/"))
        if layers:
            steps.append(mounting.OpenLayers(layers, place))
    if process.get("oomScoreAdj"):
        steps.append(op.SetOomScore(process["oomScoreAdj"]))
    if extension.get("endpoints"):
        steps.append(op.OpenHostNetwork())
    steps += [
        op.JoinNamespace(entry["type"], entry["path"])
        for entry in linux.get("namespaces", [])
        if entry.get("path") and entry["type"] not in BY_CLONE
    ]
    steps.append(op.Unshare(_flags(new - {*BY_CLONE, "cgroup"})))
    if "network" in new:
        endpoints = [
            op.AddEndpoint.of(endpoint, index)
            for index, endpoint in enumerate(extension.get("endpoints", []), op.FIRST_INDEX)
        ]
        steps += endpoints or [op.LoopbackUp()]
    if "uts" in new and (config.get("hostname") or config.get("domainname")):
        steps.append(op.SetHostname(config.get("hostname", ""), config.get("domainname", "")))
    group: list[op.Operation] = []
    if linux.get("cgroupsPath"):
        group.append(op.JoinCgroup(linux["cgroupsPath"]))
    if "cgroup" in new:
        group.append(op.Unshare(_flags({"cgroup"})))
    steps += _plan_root(config, group)
    if config["root"].get("readonly"):
        steps.append(mounting.RemountReadonly("/"))
    return steps + _plan_process(process, console=True, create_directory=True)


_Mounts = tuple[tuple[str, str, tuple[str, ...]], ...]


def _root_mounts(config: Config) -> _Mounts:
    return _as_values(config.get("argosy", {}).get("rootfs", []))


def _is_stack(entry: Mount) -> bool:
    return entry.get("type") == "stack"


def _stack(entry: Mount) -> _Mounts:
    return _as_values(entry.get("argosyStack", []))


def _as_values(mounts: list[RootfsMount]) -> _Mounts:
    return tuple((mount["type"], mount["source"], tuple(mount["options"])) for mount in mounts)


def _flags(kinds: set[str]) -> int:
    return sum(namespaces.NAMESPACES[kind][0] for kind in kinds)


def _plan_root(config: Config, group: list[op.Operation]) -> list[op.Operation]:
    """`group` is how it joins its cgroup. As late as can be: what a process copies of its parent's memory,
    and lets go of when it execs, the group need not count."""
    linux = config["linux"]
    path = config["root"]["path"]
    propagation = _PROPAGATION[linux.get("rootfsPropagation", "")]
    steps: list[op.Operation] = [
        mounting.SetPropagation(propagation),
        mounting.MountRoot(_root_mounts(config), path),
    ]
    marks = config.get("argosy", {}).get("marks")
    if marks:
        steps.append(mounting.MarkRoot(tuple(marks["files"]), tuple(marks["links"].items())))
    # Of what the image has, and not of what will be mounted there.
    steps += [
        mounting.CopyUp(entry["source"], entry["destination"])
        for entry in config.get("mounts", [])
        if entry["destination"] in config.get("argosy", {}).get("copyUp", [])
    ]
    for entry in config.get("mounts", []):
        kind, target = entry.get("type", ""), entry["destination"]
        options = tuple(entry.get("options", []))
        if kind == "stack":
            subpath, writable = entry.get("argosySubpath", ""), "rw" in options
            steps.append(mounting.StackMount(_stack(entry), path, target, subpath, writable))
        elif kind == "cgroup":
            steps += group
            group = []
            steps.append(mounting.MountCgroups(target, options))
        elif kind == "bind" or "bind" in options or "rbind" in options:
            subpath = entry.get("argosySubpath", "")
            steps.append(mounting.BindMount(entry["source"], target, options, subpath))
        else:
            steps.append(mounting.FileSystemMount(kind, entry.get("source", kind), target, options))
        if target == "/dev":
            steps.append(mounting.MakeDevices((*_DEFAULT_DEVICES, *linux.get("devices", []))))
            steps.append(mounting.LinkDevices(_DEVICE_LINKS))
    steps += [*group, *(op.SetSysctl(key, value) for key, value in sorted(linux.get("sysctl", {}).items()))]
    steps += [mounting.ReadonlyPath(path) for path in linux.get("readonlyPaths", [])]
    if linux.get("maskedPaths"):
        steps.append(mounting.MaskPaths(tuple(linux["maskedPaths"])))
    return [*steps, mounting.PivotRoot(path)]


Written = list[tuple[str, tuple[object, ...]]]


def written(steps: list[op.Operation]) -> Written:
    """As values that any process reads back, see `read`."""
    return [(type(step).__name__, tuple(step)) for step in steps]  # type: ignore[arg-type]


def read(steps: Written) -> list[op.Operation]:
    # As NamedTuple itself makes them, without a function for each.
    return [tuple.__new__(_OPERATIONS[name], fields) for name, fields in steps]


_OPERATIONS: dict[str, Any] = {
    name: kind
    for module in (op, mounting)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and hasattr(kind, "execute") and kind is not op.Operation
}


def plan_exec(process: Process) -> list[op.Operation]:
    """What a further process of a running container does once it is inside its namespaces."""
    return _plan_process(process, console=False, create_directory=False)


def _plan_process(process: Process, *, console: bool, create_directory: bool) -> list[op.Operation]:
    steps: list[op.Operation] = []
    if process.get("terminal"):
        steps.append(op.OpenTerminal(process.get("consoleSize"), console))
    steps.append(op.LookUpUser(process.get("argosyUser", ""), tuple(process.get("argosyGroups", []))))
    steps.append(op.EnterDirectory(process.get("cwd") or "/", create_directory))
    if process.get("rlimits"):
        steps.append(op.SetRlimits(tuple(process["rlimits"])))
    return steps


def plan_credentials(process: Process) -> list[op.Operation]:
    """The end of every plan, after stdio is in its place."""
    profile = process.get("apparmorProfile", "")
    return [
        *([op.ConfineAtExec(profile)] if profile else []),
        op.BecomeUser(
            process.get("capabilities", {}),
            process.get("noNewPrivileges", False),
            process.get("user", {}).get("umask", 0o022),
            "argosyUser" in process,
        ),
        op.Exec(tuple(process["args"])),
    ]
