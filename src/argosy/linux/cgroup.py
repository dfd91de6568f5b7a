"""Control groups, v1 and v2 behind one interface (cgroups(7); kernel doc `admin-guide/cgroup-v2`).

A container's group is one path, such as `/argosy/<id>`, relative to each hierarchy's root. On v1 it
exists once per controller, on v2 once. On a hybrid host the controllers are v1 and the unified
hierarchy carries none, so it is left alone.

The child joins its groups itself: on v1 a single-threaded process that writes `0` to `tasks` skips the
global thread-group lock, whose write side costs an RCU grace period.
"""

import ctypes
import errno
import functools
import os
import struct
import time
from typing import Any, NamedTuple, Protocol

from argosy.linux import block_io
from argosy.linux.block_io import BlockCount
from argosy.linux.libc import libc

_ROOT = "/sys/fs/cgroup"
# The v1 controllers that a container gets a group in, when they are mounted.
_WANTED = ("memory", "cpu", "cpuacct", "cpuset", "pids", "devices", "freezer", "blkio")
_CHARACTER, _BLOCK = "c", "b"
# runtime-spec's name, v2's word in io.max, and v1's file behind "blkio.throttle.".
_THROTTLES = (
    ("throttleReadBpsDevice", "rbps", "read_bps_device"),
    ("throttleWriteBpsDevice", "wbps", "write_bps_device"),
    ("throttleReadIOPSDevice", "riops", "read_iops_device"),
    ("throttleWriteIOPSDevice", "wiops", "write_iops_device"),
)


class Setting(NamedTuple):
    """One file to write. `controller` is used on v1 only. A `required` one that is missing is an error."""

    controller: str
    file: str
    value: str
    required: bool = True


class Group(Protocol):
    """The groups of one container."""

    def create(self, resources: dict[str, Any]) -> None:
        """Make the groups and set the limits of an OCI `linux.resources`. Raises OSError."""

    def join(self) -> None:
        """Move the calling, single-threaded process in."""

    def update(self, resources: dict[str, Any]) -> None:
        """Change limits of a group that exists."""

    def pids(self) -> list[int]: ...

    def freeze(self, frozen: bool) -> None: ...

    def is_frozen(self) -> bool:
        """Whether it is, or is to be."""

    def oom_kills(self) -> int:
        """How many processes in it were killed for want of memory."""

    def stats(self) -> dict[str, dict[str, int]]:
        """The raw counters by controller."""

    def block_io(self) -> tuple[list[BlockCount], list[BlockCount]]:
        """Bytes and operations so far."""

    def remove(self) -> None:
        """Idempotent. Raises OSError (EBUSY) while processes are left."""


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    except OSError as error:
        raise OSError(error.errno, f"cannot set {value!r}: {os.strerror(error.errno or 0)}", path) from None
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _pairs(text: str) -> dict[str, int]:
    return {
        key: int(value)
        for key, _, value in (line.partition(" ") for line in text.splitlines())
        if value.isdigit()
    }


def _rmdir(path: str) -> None:
    """A group whose last process has just been reaped may be busy for an instant."""
    for attempt in range(50):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or attempt == 49:
                raise
            time.sleep(0.002)
        else:
            return


@functools.cache
def _hierarchies() -> tuple[dict[str, str], str]:
    """(v1 controller → mount point, mount point of the v2 hierarchy or "")."""
    controllers: dict[str, str] = {}
    unified = ""
    with open("/proc/self/mountinfo") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            mountpoint = before.split()[4]
            fstype, _, options = after.split()[:3]
            if fstype == "cgroup2":
                unified = unified or mountpoint
            elif fstype == "cgroup":
                for option in options.split(","):
                    if option in _WANTED:
                        controllers.setdefault(option, mountpoint)
    return controllers, unified


def version() -> int:
    """2 where the controllers are on the unified hierarchy, else 1 (hybrid hosts included)."""
    controllers, unified = _hierarchies()
    return 1 if controllers or not unified else 2


def controllers() -> list[str]:
    if version() == 1:
        return sorted(_hierarchies()[0])
    return _read(f"{_hierarchies()[1]}/cgroup.controllers").split()


def group(path: str) -> Group:
    """Raises ValueError for a path that would lead out of the hierarchies."""
    if ".." in path.split("/"):
        raise ValueError(f"{path!r} is no path of a control group")
    return _V1(path) if version() == 1 else _V2(path)


def children(parent: str) -> set[str]:
    """The names of the groups below `parent`, in whichever hierarchy one is left."""
    mounts, unified = _hierarchies()
    found: set[str] = set()
    for root in {*mounts.values(), unified} if version() == 1 else {unified}:
        if root and os.path.isdir(root + parent):
            found.update(entry.name for entry in os.scandir(root + parent) if entry.is_dir())
    return found


class _V1:
    def __init__(self, path: str) -> None:
        mounts, _ = _hierarchies()
        # Controllers mounted together (cpu,cpuacct) share one directory.
        self._at = {name: root + path for name, root in mounts.items()}
        self._directories = list(dict.fromkeys(self._at.values()))

    def create(self, resources: dict[str, Any]) -> None:
        for directory in self._directories:
            try:
                os.mkdir(directory, 0o755)
            except FileExistsError:
                continue
            except FileNotFoundError:
                parent = os.path.dirname(directory)
                os.makedirs(parent, 0o755, exist_ok=True)
                if directory == self._at.get("cpuset"):
                    # From now on its children begin with its own CPUs and memory nodes.
                    self._inherit_cpuset(parent)
                    _write(f"{parent}/cgroup.clone_children", "1")
                os.mkdir(directory, 0o755)
        cpuset = self._at.get("cpuset")
        if cpuset:
            self._inherit_cpuset(cpuset)
        self.update(resources)
        devices = self._at.get("devices")
        if devices:
            self._device_rules(devices, resources.get("devices", []))

    @staticmethod
    def _inherit_cpuset(directory: str) -> None:
        """A new cpuset is empty on v1 and takes no process until it has CPUs and memory nodes."""
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not _read(f"{directory}/{file}").strip():
                parent = os.path.dirname(directory)
                if not _read(f"{parent}/{file}").strip():
                    _V1._inherit_cpuset(parent)
                _write(f"{directory}/{file}", _read(f"{parent}/{file}").strip())

    @staticmethod
    def _device_rules(directory: str, rules: list[dict[str, Any]]) -> None:
        """One write a rule, in their order."""
        files: dict[bool, int] = {}
        try:
            for rule in rules:
                allow = bool(rule["allow"])
                if allow not in files:
                    path = f"{directory}/devices.{'allow' if allow else 'deny'}"
                    files[allow] = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
                os.write(files[allow], _v1_device_rule(rule).encode())
        finally:
            for descriptor in files.values():
                os.close(descriptor)

    def join(self) -> None:
        for directory in self._directories:
            _write(f"{directory}/tasks", "0")

    def update(self, resources: dict[str, Any]) -> None:
        settings = _v1_settings(resources)
        limit, current = resources.get("memory", {}).get("limit"), self._memory_and_swap()
        if limit is not None and 0 <= current < limit:
            # Memory alone may never be given more than memory and swap together.
            settings.sort(key=lambda setting: setting.file != "memory.memsw.limit_in_bytes")
        for setting in settings:
            directory = self._at.get(setting.controller)
            if directory is None:
                if setting.required:
                    raise OSError(errno.ENOENT, f"the {setting.controller} cgroup controller is not mounted")
                continue
            try:
                _write(f"{directory}/{setting.file}", setting.value)
            except OSError:
                if setting.required:
                    raise

    def _memory_and_swap(self) -> int:
        text = _read(f"{self._at.get('memory', '')}/memory.memsw.limit_in_bytes").strip()
        return int(text) if text else -1

    def pids(self) -> list[int]:
        directory = self._at.get("pids") or self._directories[0]
        return [int(word) for word in _read(f"{directory}/cgroup.procs").split()]

    def freeze(self, frozen: bool) -> None:
        _write(f"{self._at['freezer']}/freezer.state", "FROZEN" if frozen else "THAWED")

    def is_frozen(self) -> bool:
        if "freezer" not in self._at:
            return False
        return _read(f"{self._at['freezer']}/freezer.state").strip() != "THAWED"

    def oom_kills(self) -> int:
        if "memory" not in self._at:
            return 0
        return _pairs(_read(f"{self._at['memory']}/memory.oom_control")).get("oom_kill", 0)

    def stats(self) -> dict[str, dict[str, int]]:
        def number(controller: str, file: str) -> int:
            text = _read(f"{self._at[controller]}/{file}").strip() if controller in self._at else ""
            return int(text) if text.isdigit() else 0

        memory = _pairs(_read(f"{self._at['memory']}/memory.stat")) if "memory" in self._at else {}
        cpu = _pairs(_read(f"{self._at['cpuacct']}/cpuacct.stat")) if "cpuacct" in self._at else {}
        tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return {
            "memory": {
                "usage": number("memory", "memory.usage_in_bytes"),
                "limit": number("memory", "memory.limit_in_bytes"),
                "max_usage": number("memory", "memory.max_usage_in_bytes"),
                "failcnt": number("memory", "memory.failcnt"),
            },
            "memory_stat": memory,
            "cpu": {
                "total": number("cpuacct", "cpuacct.usage"),
                "user": cpu.get("user", 0) * tick,
                "system": cpu.get("system", 0) * tick,
            },
            "percpu": {str(number): int(word) for number, word in enumerate(self._per_cpu())},
            "throttling": _throttling(_pairs(_read(f"{self._at.get('cpu', '')}/cpu.stat"))),
            "pids": {"current": number("pids", "pids.current"), "limit": number("pids", "pids.max")},
        }

    def _per_cpu(self) -> list[str]:
        return _read(f"{self._at.get('cpuacct', '')}/cpuacct.usage_percpu").split()

    def block_io(self) -> tuple[list[BlockCount], list[BlockCount]]:
        directory = self._at.get("blkio", "")
        bytes_, operations = (
            block_io.read_v1(_read(f"{directory}/blkio.throttle.{file}_recursive"))
            for file in ("io_service_bytes", "io_serviced")
        )
        return bytes_, operations

    def remove(self) -> None:
        for directory in self._directories:
            _rmdir(directory)


def _throttling(cpu: dict[str, int]) -> dict[str, int]:
    """Of either version's cpu.stat."""
    return {
        "periods": cpu.get("nr_periods", 0),
        "throttled_periods": cpu.get("nr_throttled", 0),
        "throttled_time": cpu.get("throttled_time", cpu.get("throttled_usec", 0) * 1000),
    }


def _v1_device_rule(rule: dict[str, Any]) -> str:
    major, minor = rule.get("major", -1), rule.get("minor", -1)
    kind = rule.get("type") or "a"
    numbers = f"{'*' if major < 0 else major}:{'*' if minor < 0 else minor}"
    return "a" if kind == "a" else f"{kind} {numbers} {rule.get('access', 'rwm')}"


def _common_settings(resources: dict[str, Any]) -> list[Setting]:
    """What both versions spell alike."""
    settings: list[Setting] = []
    cpu = resources.get("cpu", {})
    if cpu.get("cpus"):
        settings.append(Setting("cpuset", "cpuset.cpus", cpu["cpus"]))
    if cpu.get("mems"):
        settings.append(Setting("cpuset", "cpuset.mems", cpu["mems"]))
    pids = resources.get("pids", {}).get("limit")
    if pids is not None:
        settings.append(Setting("pids", "pids.max", "max" if pids <= 0 else str(pids), required=pids > 0))
    return settings


def _v1_settings(resources: dict[str, Any]) -> list[Setting]:
    settings: list[Setting] = []
    memory = resources.get("memory", {})
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit is not None:
        settings.append(Setting("memory", "memory.limit_in_bytes", str(limit)))
    if swap is not None:
        # Absent without swap accounting (swapaccount=0), where there is nothing to limit.
        settings.append(Setting("memory", "memory.memsw.limit_in_bytes", str(swap), required=False))
    if memory.get("reservation") is not None:
        settings.append(Setting("memory", "memory.soft_limit_in_bytes", str(memory["reservation"])))
    if memory.get("swappiness") is not None:
        settings.append(Setting("memory", "memory.swappiness", str(memory["swappiness"])))
    if memory.get("disableOOMKiller"):
        settings.append(Setting("memory", "memory.oom_control", "1"))
    cpu = resources.get("cpu", {})
    for key, file in (
        ("shares", "cpu.shares"),
        ("period", "cpu.cfs_period_us"),
        ("quota", "cpu.cfs_quota_us"),
        ("realtimePeriod", "cpu.rt_period_us"),
        ("realtimeRuntime", "cpu.rt_runtime_us"),
    ):
        if cpu.get(key) is not None:
            settings.append(Setting("cpu", file, str(cpu[key])))
    settings += _common_settings(resources)
    block = resources.get("blockIO", {})
    if block.get("weight"):
        settings.append(Setting("blkio", "blkio.weight", str(block["weight"]), required=False))
    for key, _, file in _THROTTLES:
        for device in block.get(key, []):
            value = f"{device['major']}:{device['minor']} {device['rate']}"
            settings.append(Setting("blkio", f"blkio.throttle.{file}", value))
    return settings


def _v2_settings(resources: dict[str, Any]) -> list[Setting]:
    settings: list[Setting] = []
    memory = resources.get("memory", {})
    limit, swap = memory.get("limit"), memory.get("swap")

    def amount(value: int) -> str:
        return "max" if value < 0 else str(value)

    if limit is not None:
        settings.append(Setting("memory", "memory.max", amount(limit)))
    if swap is not None and limit is not None:
        # v1's memsw counts memory and swap together, v2's counts swap alone (runtime-spec, "Memory").
        value = "max" if swap < 0 else str(max(swap - limit, 0))
        settings.append(Setting("memory", "memory.swap.max", value, required=False))
    if memory.get("reservation") is not None:
        settings.append(Setting("memory", "memory.low", amount(memory["reservation"])))
    cpu = resources.get("cpu", {})
    if cpu.get("shares"):
        # The linear mapping of [2, 262144] to [1, 10000] that runc and crun agreed on.
        weight = 1 + (min(max(cpu["shares"], 2), 262144) - 2) * 9999 // 262142
        settings.append(Setting("cpu", "cpu.weight", str(weight)))
    if cpu.get("quota") is not None or cpu.get("period") is not None:
        quota = cpu.get("quota") or -1
        settings.append(
            Setting("cpu", "cpu.max", f"{'max' if quota < 0 else quota} {cpu.get('period') or 100000}")
        )
    settings += _common_settings(resources)
    block = resources.get("blockIO", {})
    if block.get("weight"):
        settings.append(Setting("io", "io.weight", str(block["weight"]), required=False))
    for key, word, _ in _THROTTLES:
        for device in block.get(key, []):
            value = f"{device['major']}:{device['minor']} {word}={device['rate']}"
            settings.append(Setting("io", "io.max", value))
    return settings


class _V2:
    def __init__(self, path: str) -> None:
        self._root = _hierarchies()[1]
        self._directory = self._root + path

    def create(self, resources: dict[str, Any]) -> None:
        parent = os.path.dirname(self._directory)
        if not os.path.isdir(parent):
            os.makedirs(parent, 0o755, exist_ok=True)
        self._delegate(parent)
        os.makedirs(self._directory, 0o755, exist_ok=True)
        self.update(resources)
        if resources.get("devices"):
            _attach_device_program(self._directory, resources["devices"])

    def _delegate(self, directory: str) -> None:
        """Enable every controller for the children of each ancestor, from the top down."""
        relative = os.path.relpath(directory, self._root)
        ancestors = [self._root]
        for part in relative.split("/") if relative != "." else []:
            ancestors.append(f"{ancestors[-1]}/{part}")
        for ancestor in ancestors:
            enabled = _read(f"{ancestor}/cgroup.subtree_control").split()
            for name in _read(f"{ancestor}/cgroup.controllers").split():
                if name not in enabled and name in ("cpu", "cpuset", "io", "memory", "pids", "hugetlb"):
                    _write(f"{ancestor}/cgroup.subtree_control", f"+{name}")

    def join(self) -> None:
        _write(f"{self._directory}/cgroup.procs", "0")

    def update(self, resources: dict[str, Any]) -> None:
        for setting in _v2_settings(resources):
            try:
                _write(f"{self._directory}/{setting.file}", setting.value)
            except OSError:
                if setting.required:
                    raise

    def pids(self) -> list[int]:
        return [int(word) for word in _read(f"{self._directory}/cgroup.procs").split()]

    def freeze(self, frozen: bool) -> None:
        _write(f"{self._directory}/cgroup.freeze", "1" if frozen else "0")
        deadline = time.monotonic() + 2
        while _pairs(_read(f"{self._directory}/cgroup.events")).get("frozen") != int(frozen):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    errno.ETIMEDOUT, "the cgroup did not change its frozen state", self._directory
                )
            time.sleep(0.001)

    def is_frozen(self) -> bool:
        return _read(f"{self._directory}/cgroup.freeze").strip() == "1"

    def oom_kills(self) -> int:
        return _pairs(_read(f"{self._directory}/memory.events")).get("oom_kill", 0)

    def stats(self) -> dict[str, dict[str, int]]:
        def number(file: str) -> int:
            text = _read(f"{self._directory}/{file}").strip()
            return int(text) if text.isdigit() else 0

        cpu = _pairs(_read(f"{self._directory}/cpu.stat"))
        return {
            "memory": {
                "usage": number("memory.current"),
                "limit": number("memory.max"),
                "max_usage": number("memory.peak"),
                "failcnt": _pairs(_read(f"{self._directory}/memory.events")).get("max", 0),
            },
            "memory_stat": _pairs(_read(f"{self._directory}/memory.stat")),
            "cpu": {
                "total": cpu.get("usage_usec", 0) * 1000,
                "user": cpu.get("user_usec", 0) * 1000,
                "system": cpu.get("system_usec", 0) * 1000,
            },
            "percpu": {},
            "throttling": _throttling(cpu),
            "pids": {"current": number("pids.current"), "limit": number("pids.max")},
        }

    def block_io(self) -> tuple[list[BlockCount], list[BlockCount]]:
        text = _read(f"{self._directory}/io.stat")
        return block_io.read_v2(text, "bytes"), block_io.read_v2(text, "ios")

    def remove(self) -> None:
        _rmdir(self._directory)


# v2 has no devices controller: a BPF program attached to the group decides (kernel doc cgroup-v2,
# "Device controller"). Its context is struct bpf_cgroup_dev_ctx {u32 access_type, major, minor}.
_SYS_BPF = {"x86_64": 321, "aarch64": 280}
_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_F_ALLOW_MULTI = 2
_ACCESS = {"m": 1, "r": 2, "w": 4}
_DEVICE_TYPES = {_BLOCK: 1, _CHARACTER: 2}


def _instruction(
    code: int, destination: int = 0, source: int = 0, offset: int = 0, immediate: int = 0
) -> bytes:
    return struct.pack("<BBhi", code, destination | source << 4, offset, immediate)


def device_program(rules: list[dict[str, Any]]) -> bytes:
    """eBPF for OCI device rules. The last rule that matches decides, so they are tried backwards."""
    load_word, and_k, shift_right, move_k, move_x, exit_ = 0x61, 0x54, 0x74, 0xB7, 0xBC, 0x95
    jump_not_equal = 0x56
    program = [
        _instruction(load_word, 2, 1, 0),
        _instruction(move_x, 3, 2),
        _instruction(and_k, 2, immediate=0xFFFF),
        _instruction(shift_right, 3, immediate=16),
        _instruction(load_word, 4, 1, 4),
        _instruction(load_word, 5, 1, 8),
    ]
    decided = False
    for rule in reversed(rules):
        tests: list[bytes] = []
        kind = rule.get("type") or "a"
        access = sum(_ACCESS[letter] for letter in set(rule.get("access") or "rwm"))
        verdict = [_instruction(move_k, 0, immediate=int(rule["allow"])), _instruction(exit_)]
        if kind != "a":
            checks: list[list[bytes]] = [[_instruction(jump_not_equal, 2, 0, 0, _DEVICE_TYPES[kind])]]
            if access != 7:
                # Every bit asked for must be among those granted: asked & ~granted == 0.
                checks.append(
                    [
                        _instruction(move_x, 6, 3),
                        _instruction(and_k, 6, immediate=~access & 7),
                        _instruction(jump_not_equal, 6, 0, 0, 0),
                    ]
                )
            if rule.get("major", -1) >= 0:
                checks.append([_instruction(jump_not_equal, 4, 0, 0, rule["major"])])
            if rule.get("minor", -1) >= 0:
                checks.append([_instruction(jump_not_equal, 5, 0, 0, rule["minor"])])
            flat = [instruction for check in checks for instruction in check]
            end = len(flat) + len(verdict)
            for index, instruction in enumerate(flat):
                if instruction[0] == jump_not_equal:
                    instruction = instruction[:2] + struct.pack("<h", end - index - 1) + instruction[4:]
                tests.append(instruction)
        program += tests + verdict
        if kind == "a":
            decided = True
            break
    if not decided:
        program += [_instruction(move_k, 0, immediate=0), _instruction(exit_)]
    return b"".join(program)


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    number = _SYS_BPF[os.uname().machine]
    result = libc.syscall(
        ctypes.c_long(number), ctypes.c_int(command), buffer, ctypes.c_uint(len(attributes))
    )
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf({command}): {os.strerror(code)}")
    return int(result)


def _attach_device_program(directory: str, rules: list[dict[str, Any]]) -> None:
    program = device_program(rules)
    instructions = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    loaded = _bpf(
        _BPF_PROG_LOAD,
        struct.pack(
            "<IIQQIIQII16sI",
            _PROG_TYPE_CGROUP_DEVICE,
            len(program) // 8,
            ctypes.addressof(instructions),
            ctypes.addressof(licence),
            0,
            0,
            0,
            0,
            0,
            b"argosy_devices",
            0,
        ),
    )
    target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _bpf(_BPF_PROG_ATTACH, struct.pack("<IIII", target, loaded, _ATTACH_CGROUP_DEVICE, _F_ALLOW_MULTI))
    finally:
        os.close(target)
        os.close(loaded)
