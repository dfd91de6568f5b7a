"""What the child does to its world between clone and exec, one small value for each step.

Every operation has `execute(context)` and `describe()`. Paths inside the container's root are opened
with openat2(RESOLVE_IN_ROOT) and mounted on by descriptor until the root has been pivoted to; after
that every path is inside by construction.
"""

import errno
import os
import resource
import signal
import socket
import stat
from ipaddress import ip_address, ip_interface
from typing import NamedTuple, Protocol

from argosy.linux import caps, cgroup, mount, namespaces, netlink, process, seccomp, tty
from argosy.linux.path import make_mountpoint, open_in_root
from argosy.runtime import users
from argosy.runtime.copy_up import copy_up
from argosy.spec.oci_runtime import Capabilities, ConsoleSize, Device, Endpoint, Rlimit


class Refused(Exception):
    """The container cannot be started for a reason its user can mend; the message says it."""


class Context:
    """What operations share: opened early, used late."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.root = -1
        self.host_route: netlink.Socket | None = None
        self.identity = users.Identity(0, 0, [], "/")
        self.seccomp_program = b""
        self.terminal_master = -1
        self.terminal_slave = -1


class Operation(Protocol):
    def execute(self, context: Context) -> None: ...

    def describe(self) -> str: ...


class JoinCgroup(NamedTuple):
    path: str

    def execute(self, context: Context) -> None:
        cgroup.group(self.path).join()

    def describe(self) -> str:
        return f"join cgroup {self.path}"


class SetOomScore(NamedTuple):
    value: int

    def execute(self, context: Context) -> None:
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write(str(self.value))
        except PermissionError:
            # Lowering it needs CAP_SYS_RESOURCE, which a nested engine may lack.
            if self.value >= 0:
                raise
            raise Refused("lowering --oom-score-adj needs CAP_SYS_RESOURCE on the host") from None

    def describe(self) -> str:
        return f"oom_score_adj {self.value}"


class OpenHostNetwork(NamedTuple):
    """A netlink socket keeps the namespace it was opened in."""

    def execute(self, context: Context) -> None:
        context.host_route = netlink.Socket()

    def describe(self) -> str:
        return "open a netlink socket in the host's network namespace"


class LoadSeccomp(NamedTuple):
    path: str

    def execute(self, context: Context) -> None:
        with open(self.path, "rb") as file:
            context.seccomp_program = file.read()

    def describe(self) -> str:
        return f"load the seccomp program {self.path}"


class Unshare(NamedTuple):
    flags: int

    def execute(self, context: Context) -> None:
        namespaces.unshare(self.flags)

    def describe(self) -> str:
        names = [name for name, (flag, _) in namespaces.NAMESPACES.items() if flag & self.flags]
        return f"unshare {' '.join(names)}"


class JoinNamespace(NamedTuple):
    kind: str
    path: str

    def execute(self, context: Context) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.setns(descriptor, namespaces.NAMESPACES[self.kind][0])
        finally:
            os.close(descriptor)

    def describe(self) -> str:
        return f"join the {self.kind} namespace {self.path}"


class SetHostname(NamedTuple):
    hostname: str
    domainname: str

    def execute(self, context: Context) -> None:
        if self.hostname:
            namespaces.sethostname(self.hostname)
        if self.domainname:
            namespaces.setdomainname(self.domainname)

    def describe(self) -> str:
        return f"hostname {self.hostname} {self.domainname}".rstrip()


# The kernel's number of `lo`, the first interface of every network namespace.
_LOOPBACK = 1


class LoopbackUp(NamedTuple):
    def execute(self, context: Context) -> None:
        with netlink.Socket() as route:
            netlink.set_up(route, _LOOPBACK)

    def describe(self) -> str:
        return "set lo up"


class AddEndpoint(NamedTuple):
    """An interface of the container's in a network, and the loopback on the way."""

    endpoint: Endpoint

    def execute(self, context: Context) -> None:
        endpoint = self.endpoint
        assert context.host_route is not None
        netns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                self._add_veth(context.host_route, netns)
            except FileExistsError:
                # The kernel is still taking down the namespace of the container's last run.
                netlink.delete_link(context.host_route, endpoint["host_name"])
                self._add_veth(context.host_route, netns)
        finally:
            os.close(netns)
        index = socket.if_nametoindex(endpoint["name"])
        requests = [netlink.set_up_request(_LOOPBACK)]
        requests += [
            netlink.add_address_request(index, ip_interface(address)) for address in endpoint["addresses"]
        ]
        requests.append(netlink.set_up_request(index))
        if endpoint["gateway"]:
            requests.append(netlink.default_route_request(index, ip_address(endpoint["gateway"])))
        with netlink.Socket() as route:
            route.request_all(requests, f"configure {endpoint['name']}")

    def _add_veth(self, host_route: netlink.Socket, netns: int) -> None:
        endpoint = self.endpoint
        netlink.add_veth(
            host_route,
            endpoint["host_name"],
            master=endpoint["bridge"],
            mtu=endpoint["mtu"],
            peer_name=endpoint["name"],
            peer_mac=bytes.fromhex(endpoint["mac"].replace(":", "")),
            peer_netns=netns,
        )
        if endpoint["hairpin"]:
            netlink.set_hairpin(host_route, endpoint["host_name"])

    def describe(self) -> str:
        return f"add {self.endpoint['name']} with {' '.join(self.endpoint['addresses'])}"


class SetPropagation(NamedTuple):
    """Of every mount, so that nothing done here reaches the host (mount_namespaces(7))."""

    flags: int

    def execute(self, context: Context) -> None:
        mount.mount("", "/", flags=self.flags)

    def describe(self) -> str:
        return f"set the propagation of / to {self.flags:#x}"


class MountRoot(NamedTuple):
    """Mounts the root file system at `target` and opens it. Without a type it is a directory, bound."""

    type: str
    source: str
    target: str
    options: tuple[str, ...]

    def execute(self, context: Context) -> None:
        flags, _, data = mount.parse_options(self.options)
        if self.type:
            mount.mount(self.source, self.target, self.type, flags, data)
        else:
            mount.mount(self.source, self.target, flags=mount.MS_BIND | mount.MS_REC)
        context.root = os.open(self.target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def describe(self) -> str:
        return f"mount the {self.type or 'bound'} root at {self.target}"


class FileSystemMount(NamedTuple):
    type: str
    source: str
    target: str
    options: tuple[str, ...]

    def execute(self, context: Context) -> None:
        flags, propagation, data = mount.parse_options(self.options)
        point = make_mountpoint(context.root, self.target, directory=True)
        try:
            mount.mount(self.source, f"/proc/self/fd/{point}", self.type, flags, data)
        finally:
            os.close(point)
        if propagation:
            _propagate(context.root, self.target, propagation, directory=True)

    def describe(self) -> str:
        return f"mount {self.type} on {self.target}"


class CopyUp(NamedTuple):
    """Fill an empty volume with what the image has at the place where it will be mounted."""

    source: str
    target: str

    def execute(self, context: Context) -> None:
        try:
            origin = open_in_root(context.root, self.target, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            volume = os.open(self.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                copy_up(origin, volume)
            finally:
                os.close(volume)
        finally:
            os.close(origin)

    def describe(self) -> str:
        return f"copy {self.target} into {self.source} if that is empty"


class BindMount(NamedTuple):
    source: str
    target: str
    options: tuple[str, ...]

    def execute(self, context: Context) -> None:
        flags, propagation, data = mount.parse_options(self.options)
        if data:
            raise Refused(f"invalid mount option for {self.target}: {data}")
        try:
            directory = stat.S_ISDIR(os.stat(self.source).st_mode)
        except FileNotFoundError:
            raise Refused(f"bind source path does not exist: {self.source}") from None
        point = make_mountpoint(context.root, self.target, directory=directory)
        try:
            mount.mount(self.source, f"/proc/self/fd/{point}", flags=mount.MS_BIND | flags & mount.MS_REC)
        finally:
            os.close(point)
        # The descriptor names what the mount hides; reopened, it names the mount.
        point = make_mountpoint(context.root, self.target, directory=directory)
        try:
            path = f"/proc/self/fd/{point}"
            mount.mount("", path, flags=propagation or mount.MS_PRIVATE | mount.MS_REC)
            attributes = flags & ~(mount.MS_BIND | mount.MS_REC)
            if attributes:
                kept = _mount_flags(path)
                mount.mount("", path, flags=mount.MS_BIND | mount.MS_REMOUNT | attributes | kept)
            if attributes & mount.MS_RDONLY and flags & mount.MS_REC:
                try:
                    mount.set_readonly_recursive(path)
                except OSError as error:
                    # Kernels before 5.12: the mount itself is read-only, mounts below it are not.
                    if error.errno != errno.ENOSYS:
                        raise
        finally:
            os.close(point)

    def describe(self) -> str:
        return f"bind {self.source} on {self.target}"


def _mount_flags(path: str) -> int:
    """The restrictions of a mount that a remount must repeat to keep them."""
    held = os.statvfs(path).f_flag
    known = ((os.ST_NOSUID, mount.MS_NOSUID), (os.ST_NODEV, mount.MS_NODEV), (os.ST_NOEXEC, mount.MS_NOEXEC))
    return sum(flag for bit, flag in known if held & bit)


def _propagate(root: int, target: str, flags: int, *, directory: bool) -> None:
    point = make_mountpoint(root, target, directory=directory)
    try:
        mount.mount("", f"/proc/self/fd/{point}", flags=flags)
    finally:
        os.close(point)


class MountCgroups(NamedTuple):
    """The container's own view of its groups: v2's one tree, or a directory a v1 controller."""

    target: str
    options: tuple[str, ...]

    def execute(self, context: Context) -> None:
        flags, _, _ = mount.parse_options(self.options)
        point = make_mountpoint(context.root, self.target, directory=True)
        try:
            if cgroup.version() == 2:
                mount.mount("cgroup", f"/proc/self/fd/{point}", "cgroup2", flags)
                return
            setup = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
            mount.mount("tmpfs", f"/proc/self/fd/{point}", "tmpfs", setup, "mode=755")
        finally:
            os.close(point)
        for controller in cgroup.controllers():
            inner = make_mountpoint(context.root, f"{self.target}/{controller}", directory=True)
            try:
                mount.mount("cgroup", f"/proc/self/fd/{inner}", "cgroup", flags, controller)
            finally:
                os.close(inner)
        if flags & mount.MS_RDONLY:
            point = make_mountpoint(context.root, self.target, directory=True)
            try:
                remount = mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | setup
                mount.mount("", f"/proc/self/fd/{point}", flags=remount)
            finally:
                os.close(point)

    def describe(self) -> str:
        return f"mount the cgroups on {self.target}"


class MakeDevice(NamedTuple):
    device: Device

    def execute(self, context: Context) -> None:
        device = self.device
        kind = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}[device["type"]]
        number = os.makedev(device.get("major", 0), device.get("minor", 0))
        path = device["path"].lstrip("/")
        parent = make_mountpoint(context.root, os.path.dirname(path), directory=True)
        name = os.path.basename(path)
        try:
            try:
                os.mknod(name, kind | device.get("fileMode", 0o666), number, dir_fd=parent)
            except FileExistsError:
                return
            os.chown(name, device.get("uid", 0), device.get("gid", 0), dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def describe(self) -> str:
        return f"make device {self.device['path']}"


class LinkDevices(NamedTuple):
    """The symbolic links that runtime-spec's "Default Devices" asks for."""

    links: tuple[tuple[str, str], ...]

    def execute(self, context: Context) -> None:
        parent = make_mountpoint(context.root, "dev", directory=True)
        try:
            for target, name in self.links:
                try:
                    os.symlink(target, name, dir_fd=parent)
                except FileExistsError:
                    continue
        finally:
            os.close(parent)

    def describe(self) -> str:
        return "link " + " ".join(name for _, name in self.links)


class PivotRoot(NamedTuple):
    """The container's root becomes /, and the host's is let go (pivot_root(2), "pivot_root(".", ".")")."""

    path: str
    readonly: bool

    def execute(self, context: Context) -> None:
        os.chdir(self.path)
        mount.pivot_root(".", ".")
        mount.umount(".", mount.MNT_DETACH)
        os.chdir("/")
        os.close(context.root)
        context.root = -1

    def describe(self) -> str:
        return f"pivot to {self.path}"


class RemountReadonly(NamedTuple):
    path: str

    def execute(self, context: Context) -> None:
        flags = mount.MS_BIND | mount.MS_REMOUNT | mount.MS_RDONLY | _mount_flags(self.path)
        mount.mount("", self.path, flags=flags)

    def describe(self) -> str:
        return f"remount {self.path} read-only"


class OpenTerminal(NamedTuple):
    """A terminal of the container's own devpts, its slave also on /dev/console."""

    size: ConsoleSize | None
    console: bool

    def execute(self, context: Context) -> None:
        master, slave, number = tty.open_pty()
        if self.size:
            tty.set_size(slave, self.size["height"], self.size["width"])
        if self.console:
            os.close(os.open("/dev/console", os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o620))
            mount.mount(f"/dev/pts/{number}", "/dev/console", flags=mount.MS_BIND)
        context.terminal_master, context.terminal_slave = master, slave

    def describe(self) -> str:
        return "open a terminal"


class SetSysctl(NamedTuple):
    key: str
    value: str

    def execute(self, context: Context) -> None:
        path = "/proc/sys/" + self.key.replace(".", "/")
        try:
            with open(path, "w") as file:
                file.write(self.value)
        except FileNotFoundError:
            raise Refused(f"sysctl {self.key} does not exist on this kernel") from None

    def describe(self) -> str:
        return f"sysctl {self.key}={self.value}"


class MaskPath(NamedTuple):
    path: str

    def execute(self, context: Context) -> None:
        try:
            status = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISDIR(status.st_mode):
            mount.mount("tmpfs", self.path, "tmpfs", mount.MS_RDONLY, "size=0k,nr_inodes=1")
        else:
            mount.mount("/dev/null", self.path, flags=mount.MS_BIND)

    def describe(self) -> str:
        return f"mask {self.path}"


class ReadonlyPath(NamedTuple):
    path: str

    def execute(self, context: Context) -> None:
        try:
            mount.mount(self.path, self.path, flags=mount.MS_BIND | mount.MS_REC)
        except (FileNotFoundError, NotADirectoryError):
            return
        flags = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
        mount.mount("", self.path, flags=mount.MS_BIND | mount.MS_REMOUNT | mount.MS_RDONLY | flags)

    def describe(self) -> str:
        return f"make {self.path} read-only"


class LookUpUser(NamedTuple):
    user: str
    groups: tuple[str, ...]

    def execute(self, context: Context) -> None:
        try:
            context.identity = users.resolve(
                self.user, users.read_lines("/etc/passwd"), users.read_lines("/etc/group"), list(self.groups)
            )
        except users.UserError as error:
            raise Refused(str(error)) from None
        if not context.environment.get("HOME"):
            context.environment["HOME"] = context.identity.home

    def describe(self) -> str:
        return f"look up user {self.user or '0'}"


class EnterDirectory(NamedTuple):
    path: str
    create: bool

    def execute(self, context: Context) -> None:
        if self.create and not os.path.isdir(self.path):
            try:
                os.makedirs(self.path, 0o755, exist_ok=True)
            except FileExistsError:
                raise Refused(f"Cannot mkdir: {self.path} is not a directory") from None
            except OSError as error:
                # A read-only root without the directory: chdir below says that it is missing.
                if error.errno != errno.EROFS:
                    raise
        try:
            os.chdir(self.path)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise Refused(f'chdir to cwd ("{self.path}") set in config.json failed: {reason}') from None

    def describe(self) -> str:
        return f"enter {self.path}"


def rlimit_number(name: str) -> int:
    """The kernel's number of `RLIMIT_NOFILE` and its like. Raises Refused."""
    number = getattr(resource, name, None)
    if number is None or not name.startswith("RLIMIT_"):
        raise Refused(f"invalid ulimit type: {name.removeprefix('RLIMIT_').lower()}")
    assert isinstance(number, int)
    return number


class SetRlimits(NamedTuple):
    limits: tuple[Rlimit, ...]

    def execute(self, context: Context) -> None:
        for limit in self.limits:
            number = rlimit_number(limit["type"])
            soft, hard = (-1 if value >= 1 << 63 else value for value in (limit["soft"], limit["hard"]))
            try:
                resource.setrlimit(number, (soft, hard))
            except (PermissionError, ValueError):
                # Python turns the kernel's EPERM into "not allowed to raise maximum limit".
                held = resource.getrlimit(number)[1]
                name = limit["type"].removeprefix("RLIMIT_").lower()
                raise Refused(
                    f"error setting rlimit type {name}: operation not permitted; "
                    f"this host allows at most {held}: use --ulimit {name}={held} or less"
                ) from None

    def describe(self) -> str:
        return "set rlimits " + " ".join(limit["type"] for limit in self.limits)


class BecomeUser(NamedTuple):
    """The last word before exec: credentials, seccomp, capabilities, in the only order that works.

    seccomp goes before the capabilities unless no_new_privs is set, for it needs CAP_SYS_ADMIN; the
    bounding set goes before them too, for dropping from it needs CAP_SETPCAP.
    """

    capabilities: Capabilities
    no_new_privileges: bool
    umask: int
    as_execve: bool
    """Another user than root keeps the bounding set only, as if execve had been called by it."""

    def execute(self, context: Context) -> None:
        identity = context.identity
        _own_stdio(identity.uid)
        os.umask(self.umask)
        sets = {name: caps.mask(names) for name, names in self._sets().items()}
        # An engine that runs nested may itself lack capabilities that are asked for.
        held = caps.held()
        if self.as_execve and identity.uid:
            sets["effective"] = sets["permitted"] = 0
        if self.no_new_privileges:
            process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
        elif context.seccomp_program:
            seccomp.install(context.seccomp_program)
        caps.drop_bounding(sets["bounding"])
        process.prctl(process.PR_SET_KEEPCAPS, 1)
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        process.prctl(process.PR_SET_KEEPCAPS, 0)
        limit = sets["bounding"] & held
        caps.set_caps(sets["effective"] & limit, sets["permitted"] & limit, sets["inheritable"] & limit)
        caps.set_ambient(sets["ambient"] & limit)
        if self.no_new_privileges and context.seccomp_program:
            seccomp.install(context.seccomp_program)

    def _sets(self) -> dict[str, list[str]]:
        given = self.capabilities
        return {
            "bounding": given.get("bounding", []),
            "effective": given.get("effective", []),
            "permitted": given.get("permitted", []),
            "inheritable": given.get("inheritable", []),
            "ambient": given.get("ambient", []),
        }

    def describe(self) -> str:
        return "drop privileges"


def _own_stdio(uid: int) -> None:
    """Let the process reopen its own stdio by way of /dev/stdout. Devices are shared, so left alone."""
    for descriptor in range(3):
        status = os.fstat(descriptor)
        if status.st_uid != uid and (stat.S_ISFIFO(status.st_mode) or os.isatty(descriptor)):
            os.fchown(descriptor, uid, -1)


class Exec(NamedTuple):
    arguments: tuple[str, ...]

    def execute(self, context: Context) -> None:
        # Python ignores SIGPIPE and SIGXFSZ, and an ignored signal stays ignored across exec.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        name = self.arguments[0]
        path = find_executable(name, context.environment.get("PATH", ""))
        try:
            os.execve(path, self.arguments, context.environment)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise Refused(f'exec: "{name}": {reason}' if path == name else f"exec {path}: {reason}") from None

    def describe(self) -> str:
        return f"exec {self.arguments[0]}"


def find_executable(name: str, search: str) -> str:
    """The path that execvp would run. Raises Refused in the words of Go's os/exec, as Docker does."""
    if not name:
        raise Refused('exec: "": executable file not found in $PATH')
    if "/" in name:
        try:
            status = os.stat(name)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise Refused(f'exec: "{name}": stat {name}: {reason}') from None
        if stat.S_ISDIR(status.st_mode):
            raise Refused(f'exec: "{name}": is a directory')
        if not status.st_mode & 0o111:
            raise Refused(f'exec: "{name}": permission denied')
        return name
    denied = False
    for directory in search.split(":"):
        candidate = f"{directory or '.'}/{name}"
        try:
            status = os.stat(candidate)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            if status.st_mode & 0o111:
                return candidate
            denied = True
    if denied:
        raise Refused(f'exec: "{name}": permission denied')
    raise Refused(f'exec: "{name}": executable file not found in $PATH')
