"""The operations that make a container's file system: its root and what is mounted over it.

Paths inside the root are opened with openat2(RESOLVE_IN_ROOT) and mounted on by descriptor until the root
has been pivoted to; after that every path is inside by construction.
"""

import errno
import os
import stat
from typing import NamedTuple

from argosy.linux import cgroup, mount
from argosy.linux.new_mount import MOUNT_ATTR_RDONLY, open_filesystem
from argosy.linux.path import O_PATH, make_link, make_mountpoint, open_in_root
from argosy.runtime.copy_up import copy_up
from argosy.runtime.operations import Context, Refused
from argosy.spec.oci_runtime import Device


class SetPropagation(NamedTuple):
    """Of every mount, so that nothing done here reaches the host (mount_namespaces(7))."""

    flags: int

    def execute(self, context: Context) -> None:
        mount.mount("", "/", flags=self.flags)
        context.private = bool(self.flags & mount.MS_PRIVATE)

    def describe(self) -> str:
        return f"set the propagation of / to {self.flags:#x}"


class OpenLayers(NamedTuple):
    """Opens the layers of a stack that are devices, while the process may still open any."""

    mounts: tuple[tuple[str, str, tuple[str, ...]], ...]
    place: str = ""

    def execute(self, context: Context) -> None:
        opened = context.layers.setdefault(self.place, [])
        for kind, source, options in self.mounts:
            pairs = [option.partition("=")[::2] for option in options]
            opened.append(open_filesystem(kind, [("source", source), *pairs], MOUNT_ATTR_RDONLY))

    def describe(self) -> str:
        return "open " + " ".join(source for _, source, _ in self.mounts)


class MountRoot(NamedTuple):
    """Mounts (type, source, options) one over the other at `target`, and opens it.

    Without any, `target` is the root file system's directory itself.
    """

    mounts: tuple[tuple[str, str, tuple[str, ...]], ...]
    target: str

    def execute(self, context: Context) -> None:
        if self.mounts:
            mount.mount_stack(list(self.mounts), self.target, tuple(context.layers.get("", ())))
        else:
            mount.mount(self.target, self.target, flags=mount.MS_BIND | mount.MS_REC)
        context.root = os.open(self.target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def describe(self) -> str:
        return f"mount the {self.mounts[-1][0] if self.mounts else 'bound'} root at {self.target}"


class MarkRoot(NamedTuple):
    """Makes what tells programs where they are, unless the image has it: empty files, and links."""

    files: tuple[str, ...]
    links: tuple[tuple[str, str], ...]

    def execute(self, context: Context) -> None:
        for path in self.files:
            os.close(make_mountpoint(context.root, path, directory=False))
        for path, target in self.links:
            make_link(context.root, path, target)

    def describe(self) -> str:
        return "make " + " ".join([*self.files, *(path for path, _ in self.links)])


class FileSystemMount(NamedTuple):
    type: str
    source: str
    target: str
    options: tuple[str, ...]

    def execute(self, context: Context) -> None:
        flags, propagation, data = mount.parse_options(self.options)
        if self.type in _KERNELS or self.target == "/dev":
            point = _ordinary_point(context.root, self.target, self.type)
        else:
            point = _users_point(context.root, self.source, self.target, directory=True)
        try:
            if propagation:
                _attach_new(self.type, flags, propagation, data, point)
            else:
                mount.mount(self.source, f"/proc/self/fd/{point}", self.type, flags, data)
        finally:
            os.close(point)

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


class StackMount(NamedTuple):
    """Mounts (type, source, options) one over the other, and the result, or a part of it, at `target`.
    It is put together at `scratch`, where the root is by now, and taken away from there."""

    mounts: tuple[tuple[str, str, tuple[str, ...]], ...]
    scratch: str
    target: str
    subpath: str
    writable: bool = False

    def execute(self, context: Context) -> None:
        opened = tuple(context.layers.get(self.target, ()))
        mount.mount_stack(list(self.mounts), self.scratch, opened)
        flags = 0 if self.writable else mount.MS_RDONLY
        try:
            _bind(context, self.scratch, self.subpath, self.target, flags, 0)
        finally:
            for _ in self.mounts:
                mount.umount(self.scratch, mount.MNT_DETACH)

    def describe(self) -> str:
        return f"mount {len(self.mounts)} layers on {self.target}"


class BindMount(NamedTuple):
    """`subpath` is resolved inside the source, which a container may have filled. Options besides those of
    mount(8): `nro` for a read-only mount with writable ones below it, `rro` for all read-only or none."""

    source: str
    target: str
    options: tuple[str, ...]
    subpath: str = ""

    def execute(self, context: Context) -> None:
        words = [_RECURSION.get(word, word) for word in self.options]
        flags, propagation, data = mount.parse_options(words)
        if data:
            raise Refused(f"invalid mount option for {self.target}: {data}")
        below = "nro" not in self.options
        _bind(context, self.source, self.subpath, self.target, flags, propagation, below=below)

    def describe(self) -> str:
        inside = f"/{self.subpath}" if self.subpath else ""
        return f"bind {self.source}{inside} on {self.target}"


_RECURSION = {"nro": "ro", "rro": "ro"}


def _bind(
    context: Context,
    source: str,
    subpath: str,
    target: str,
    flags: int,
    propagation: int,
    *,
    below: bool = True,
) -> None:
    """`below`: a read-only mount makes those below it read-only, too."""
    if not propagation and not context.private:
        propagation = mount.MS_PRIVATE | mount.MS_REC
    if not subpath:
        _bind_path(context.root, source, target, flags, propagation, below=below)
        return
    outer = os.open(source, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inner = open_in_root(outer, subpath, O_PATH)
    except OSError as error:
        path, reason = f"{source}/{subpath}", os.strerror(error.errno or 0).lower()
        raise Refused(f"cannot access path {path}: lstat {path}: {reason}") from None
    finally:
        os.close(outer)
    try:
        _bind_path(context.root, f"/proc/self/fd/{inner}", target, flags, propagation, below=below)
    finally:
        os.close(inner)


def _bind_path(root: int, source: str, target: str, flags: int, propagation: int, *, below: bool) -> None:
    try:
        tree = mount.open_tree(source, below=bool(flags & mount.MS_REC))
    except FileNotFoundError:
        raise Refused(f"bind source path does not exist: {source}") from None
    try:
        directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        point = _users_point(root, source, target, directory=directory, tree=tree)
        try:
            mount.attach(tree, point)
        finally:
            os.close(point)
        _set_flags(tree, flags & ~(mount.MS_BIND | mount.MS_REC), propagation)
        if flags & mount.MS_RDONLY and flags & mount.MS_REC and below:
            try:
                mount.restrict(tree, mount.MOUNT_ATTR_RDONLY)
            except OSError as error:
                # Kernels before 5.12: the mount itself is read-only, mounts below it are not.
                if error.errno != errno.ENOSYS:
                    raise
    finally:
        os.close(tree)


def _set_flags(tree: int, attributes: int, propagation: int) -> None:
    """Of a mount whose root `tree` is."""
    path = f"/proc/self/fd/{tree}"
    if propagation:
        mount.mount("", path, flags=propagation)
    if attributes:
        kept = _mount_flags(path)
        mount.mount("", path, flags=mount.MS_BIND | mount.MS_REMOUNT | attributes | kept)


def _mount_flags(path: str) -> int:
    """The restrictions of a mount that a remount must repeat to keep them."""
    held = os.statvfs(path).f_flag
    known = ((os.ST_NOSUID, mount.MS_NOSUID), (os.ST_NODEV, mount.MS_NODEV), (os.ST_NOEXEC, mount.MS_NOEXEC))
    return sum(flag for bit, flag in known if held & bit)


def _attach_new(kind: str, flags: int, propagation: int, data: str, point: int) -> None:
    pairs = [item.partition("=")[::2] for item in data.split(",") if item]
    tree = open_filesystem(kind, pairs)
    try:
        mount.attach(tree, point)
        _set_flags(tree, flags, propagation)
    finally:
        os.close(tree)


# File systems of the kernel's that a container has of its own.
_KERNELS = ("proc", "sysfs")
# runc's list (`checkProcMount`): what lxcfs stands in for, and the like.
_STOOD_IN_FOR = frozenset(
    f"/proc/{name}"
    for name in (
        "cpuinfo",
        "diskstats",
        "loadavg",
        "meminfo",
        "net/dev",
        "slabinfo",
        "stat",
        "swaps",
        "sys/crypto/fips_enabled",
        "sys/kernel/ns_last_pid",
        "uptime",
    )
)


def _ordinary_point(root: int, target: str, kind: str) -> int:
    """Where no link of the image's may lead elsewhere. Raises Refused."""
    try:
        return open_in_root(root, target, O_PATH | os.O_DIRECTORY, links=False)
    except FileNotFoundError:
        return make_mountpoint(root, target, directory=True)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise Refused(f'filesystem "{kind}" must be mounted on ordinary directory: {target}') from None


def _users_point(root: int, source: str, target: str, *, directory: bool, tree: int = -1) -> int:
    """Where something of the user's or the image's goes, `tree` if it is a bind. What the kernel shows of
    itself, and with it all that is masked there, is not to be covered. Raises Refused."""
    problem = f'error mounting "{source}" to rootfs at "{target}"'
    # Before it is made: nothing can be, in there.
    if target.startswith("/proc/") and target not in _STOOD_IN_FOR:
        raise Refused(f'{problem}: "{target}" cannot be mounted because it is inside /proc')
    try:
        point = make_mountpoint(root, target, directory=directory)
    except NotADirectoryError:
        kinds = "a directory onto a file" if directory else "a file onto a directory"
        raise Refused(
            f"{problem}: not a directory: Are you trying to mount {kinds}? Check if the specified host path "
            "exists and is the expected type"
        ) from None
    except OSError as error:
        raise Refused(f"{problem}: create {target}: {os.strerror(error.errno or 0).lower()}") from None
    reason = _reason_against(point, target, tree)
    if reason:
        os.close(point)
        raise Refused(f'{problem}: "{target}" cannot be mounted because {reason}')
    return point


def _reason_against(point: int, target: str, tree: int) -> str:
    kind = mount.filesystem_type(point)
    if target == "/proc":
        is_proc = tree >= 0 and mount.filesystem_type(tree) == mount.PROC
        return "" if is_proc else "it is not of type proc"
    if kind == mount.PROC:
        return "" if target in _STOOD_IN_FOR else "it is inside /proc"
    if kind == mount.SYSFS and not f"{target}/".startswith("/sys/"):
        return "it is inside /sys"
    return ""


_MOUNTED_STRICTLY = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC


class MountCgroups(NamedTuple):
    """The container's own view of its groups: v2's one tree, or a directory a v1 controller."""

    target: str
    options: tuple[str, ...]

    def execute(self, context: Context) -> None:
        flags, _, _ = mount.parse_options(self.options)
        setup = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
        point = make_mountpoint(context.root, self.target, directory=True)
        try:
            if cgroup.version() == 2:
                mount.mount("cgroup", f"/proc/self/fd/{point}", "cgroup2", flags)
                return
            # New, and nobody else can reach it: its names need no care.
            top = open_filesystem("tmpfs", [("mode", "755")], _MOUNTED_STRICTLY)
            mount.attach(top, point)
        finally:
            os.close(point)
        try:
            for controller in cgroup.controllers():
                os.mkdir(controller, dir_fd=top)
                mount.mount("cgroup", f"/proc/self/fd/{top}/{controller}", "cgroup", flags, controller)
            if flags & mount.MS_RDONLY:
                remount = mount.MS_REMOUNT | mount.MS_BIND | mount.MS_RDONLY | setup
                mount.mount("", f"/proc/self/fd/{top}", flags=remount)
        finally:
            os.close(top)

    def describe(self) -> str:
        return f"mount the cgroups on {self.target}"


class MakeDevices(NamedTuple):
    devices: tuple[Device, ...]

    def execute(self, context: Context) -> None:
        parents: dict[str, int] = {}
        try:
            for device in self.devices:
                directory, name = os.path.split(device["path"].lstrip("/"))
                if directory not in parents:
                    parents[directory] = make_mountpoint(context.root, directory, directory=True)
                _make_device(parents[directory], name, device)
        finally:
            for parent in parents.values():
                os.close(parent)

    def describe(self) -> str:
        return "make devices " + " ".join(device["path"] for device in self.devices)


def _make_device(parent: int, name: str, device: Device) -> None:
    kind = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}[device["type"]]
    number = os.makedev(device.get("major", 0), device.get("minor", 0)) if kind != stat.S_IFIFO else 0
    try:
        os.mknod(name, kind | device.get("fileMode", 0o666), number, dir_fd=parent)
    except FileExistsError:
        # In a /dev that is a volume or the host's. What stands there must be what programs take it for.
        present = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (stat.S_IFMT(present.st_mode), present.st_rdev) != (kind, number):
            raise Refused(
                f"{device['path']} is there already, and is not the device {device.get('major', 0)}:"
                f"{device.get('minor', 0)}: remove it from what is mounted on /dev"
            ) from None
        return
    owner = device.get("uid", 0), device.get("gid", 0)
    if owner != (0, 0):
        os.chown(name, *owner, dir_fd=parent, follow_symlinks=False)


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


class MaskPaths(NamedTuple):
    """Hides files behind the host's own /dev/null, and directories behind nothing. The container's /dev/null
    is whatever its image says (CVE-2025-31133)."""

    paths: tuple[str, ...]

    def execute(self, context: Context) -> None:
        null = os.open("/dev/null", O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(null)
            if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL:
                raise Refused("/dev/null of this host is not the null device: mknod -m 666 /dev/null c 1 3")
            for path in self.paths:
                _mask(context.root, path, null)
        finally:
            os.close(null)

    def describe(self) -> str:
        return f"mask {' '.join(self.paths)}"


_NULL = os.makedev(1, 3)


def _mask(root: int, path: str, null: int) -> None:
    try:
        point = open_in_root(root, path, O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if stat.S_ISDIR(os.fstat(point).st_mode):
            mount.mount("tmpfs", f"/proc/self/fd/{point}", "tmpfs", mount.MS_RDONLY, "size=0k,nr_inodes=1")
        else:
            mount.mount(f"/proc/self/fd/{null}", f"/proc/self/fd/{point}", flags=mount.MS_BIND)
    finally:
        os.close(point)


class ReadonlyPath(NamedTuple):
    path: str

    def execute(self, context: Context) -> None:
        try:
            point = open_in_root(context.root, self.path, O_PATH)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            tree = mount.open_tree(point, below=True)
            try:
                mount.attach(tree, point)
                _set_flags(tree, mount.MS_RDONLY | mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC, 0)
            finally:
                os.close(tree)
        finally:
            os.close(point)

    def describe(self) -> str:
        return f"make {self.path} read-only"
