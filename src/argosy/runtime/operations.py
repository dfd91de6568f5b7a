"""What the child does to its world between clone and exec, one small value for each step.

Every operation has `execute(context)` and `describe()`. Those that make the file system are in `mounting`.
"""

import contextlib
import errno
import os
import resource
import signal
import stat
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from typing import NamedTuple, Protocol

from argosy.linux import caps, cgroup, mount, namespaces, netlink, process, seccomp, tty
from argosy.linux.path import O_PATH, open_in_root
from argosy.runtime import users
from argosy.spec.oci_runtime import Capabilities, ConsoleSize, Endpoint, Rlimit


class Refused(Exception):
    """The container cannot be started for a reason its user can mend; the message says it."""


class Context:
    """What operations share: opened early, used late."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.root = -1
        # Whether new mounts are so by themselves.
        self.private = False
        # Layers that are mounted nowhere yet, by where their stack goes; the root's by "".
        self.layers: dict[str, list[int]] = {}
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
FIRST_INDEX = 2


class LoopbackUp(NamedTuple):
    def execute(self, context: Context) -> None:
        with netlink.Socket() as route:
            netlink.set_up(route, _LOOPBACK)

    def describe(self) -> str:
        return "set lo up"


class AddEndpoint(NamedTuple):
    """An interface of the container's in a network, and the loopback on the way.

    The messages are written when the start is planned: to put them together takes longer than to send
    them.
    """

    host_name: str
    name: str
    veth: netlink.Request
    host: tuple[netlink.Request, ...]
    inside: tuple[netlink.Request, ...]
    ipv6: bool

    @classmethod
    def of(cls, endpoint: Endpoint, index: int) -> "AddEndpoint":
        """`index` is the number of its interface inside, free there."""
        veth = netlink.veth_request(
            endpoint["host_name"],
            master=endpoint["bridge"],
            mtu=endpoint["mtu"],
            peer_name=endpoint["name"],
            peer_mac=bytes.fromhex(endpoint["mac"].replace(":", "")),
            peer_index=index,
        )
        addresses = [ip_interface(address) for address in endpoint["addresses"]]
        inside = [netlink.set_up_request(_LOOPBACK)]
        inside += [netlink.add_address_request(index, address) for address in addresses]
        inside.append(netlink.set_up_request(index))
        if endpoint["gateway"]:
            inside.append(netlink.default_route_request(index, ip_address(endpoint["gateway"])))
        host = (netlink.hairpin_request(endpoint["host_name"]),) if endpoint["hairpin"] else ()
        ipv6 = any(address.version == 6 for address in addresses)
        return cls(endpoint["host_name"], endpoint["name"], veth, host, tuple(inside), ipv6)

    def execute(self, context: Context) -> None:
        assert context.host_route is not None
        netns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.nullcontext() if self.ipv6 else _new_interfaces_have_no_ipv6():
                try:
                    self._add_veth(context.host_route, netns)
                except FileExistsError:
                    # The kernel is still taking down the namespace of the container's last run.
                    netlink.delete_link(context.host_route, self.host_name)
                    self._add_veth(context.host_route, netns)
        finally:
            os.close(netns)
        with netlink.Socket() as route:
            route.request_all(list(self.inside), f"configure {self.name}")

    def _add_veth(self, host_route: netlink.Socket, netns: int) -> None:
        host_route.request(*netlink.with_descriptor(self.veth, netns), f"add veth {self.host_name}")
        for request in self.host:
            host_route.request(*request, f"configure {self.host_name}")

    def describe(self) -> str:
        return f"add {self.name}"


@contextlib.contextmanager
def _new_interfaces_have_no_ipv6() -> Iterator[None]:
    """As Docker where the network has none. Else every interface that comes up looks for neighbours, and each
    container of the bridge hears it.

    Said of the interface itself, it would wait for the lock of all network configuration, spinning.
    """
    try:
        descriptor = os.open("/proc/sys/net/ipv6/conf/default/disable_ipv6", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # The kernel has no IPv6 at all.
        yield
        return
    try:
        before = os.pread(descriptor, 16, 0)
        os.pwrite(descriptor, b"1", 0)
        yield
        os.pwrite(descriptor, before, 0)
    finally:
        os.close(descriptor)


class OpenTerminal(NamedTuple):
    """A terminal of the container's own devpts, its slave also on /dev/console."""

    size: ConsoleSize | None
    console: bool

    def execute(self, context: Context) -> None:
        master, slave, _ = tty.open_pty()
        if self.size:
            tty.set_size(slave, self.size["height"], self.size["width"])
        if self.console:
            _mount_console(slave)
        context.terminal_master, context.terminal_slave = master, slave

    def describe(self) -> str:
        return "open a terminal"


def _mount_console(terminal: int) -> None:
    """By descriptors: names in a /dev that others share may come to mean something else (CVE-2025-52565)."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open("/dev/console", os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o620))
    point = os.open("/dev/console", O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mode = os.fstat(point).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
            raise Refused("/dev/console of the container is neither a file nor a device")
        tree = mount.open_tree(terminal)
        try:
            mount.attach(tree, point)
        finally:
            os.close(tree)
    finally:
        os.close(point)


class SetSysctl(NamedTuple):
    key: str
    value: str

    def execute(self, context: Context) -> None:
        path = "/proc/sys/" + self.key.replace(".", "/")
        try:
            # The kernel's own and not what stands for it (CVE-2025-52881).
            descriptor = open_in_root(context.root, path, os.O_WRONLY, links=False)
            with open(descriptor, "w") as file:
                if mount.filesystem_type(descriptor) != mount.PROC:
                    raise Refused(f"{path} of the container is not the kernel's")
                file.write(self.value)
        except OSError as error:
            verb = "open" if error.errno == errno.ENOENT else "write"
            raise Refused(f"{verb} {path}: {os.strerror(error.errno or 0).lower()}") from None

    def describe(self) -> str:
        return f"sysctl {self.key}={self.value}"


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
        if not self.path.startswith("/"):
            raise Refused("Cwd must be an absolute path")
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


class ConfineAtExec(NamedTuple):
    """Gives the program AppArmor's profile (Documentation/admin-guide/LSM/apparmor.rst). `attributes` are
    this process's, where security modules that are stacked have directories of their own."""

    profile: str
    attributes: str = "/proc/self/attr"

    def execute(self, context: Context) -> None:
        for path in (f"{self.attributes}/apparmor/exec", f"{self.attributes}/exec"):
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                if mount.filesystem_type(descriptor) != mount.PROC:
                    raise Refused(f"{path} of the container is not the kernel's")
                os.write(descriptor, f"exec {self.profile}".encode())
                return
            except OSError as error:
                reason = os.strerror(error.errno or 0).lower()
                raise Refused(f"{self._problem()}: write {path}: {reason}") from None
            finally:
                os.close(descriptor)
        raise Refused(f"{self._problem()}: the kernel takes none")

    def _problem(self) -> str:
        return f"unable to apply apparmor profile: apparmor failed to apply profile {self.profile}"

    def describe(self) -> str:
        return f"be confined by {self.profile} at exec"


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
        if stat.S_ISDIR(status.st_mode) or not status.st_mode & 0o111:
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
