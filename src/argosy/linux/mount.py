"""mount(2), umount2(2), pivot_root(2), and the fstab-style options that stand for their flags."""

import ctypes
import errno
import os

from argosy.linux.libc import (
    SYS_MOUNT_SETATTR,
    SYS_MOVE_MOUNT,
    SYS_OPEN_TREE,
    SYS_PIVOT_ROOT,
    check,
    libc,
    syscall,
)

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_SILENT = 1 << 15
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24

MNT_DETACH = 2

MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOVE_MOUNT_T_SYMLINKS = 0x10
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_OPEN_TREE_CLONE = 1

# Options as mount(8) and the OCI runtime spec ("Linux mount options") spell them: (set?, flag).
_FLAGS: dict[str, tuple[bool, int]] = {
    "ro": (True, MS_RDONLY),
    "rw": (False, MS_RDONLY),
    "nosuid": (True, MS_NOSUID),
    "suid": (False, MS_NOSUID),
    "nodev": (True, MS_NODEV),
    "dev": (False, MS_NODEV),
    "noexec": (True, MS_NOEXEC),
    "exec": (False, MS_NOEXEC),
    "sync": (True, MS_SYNCHRONOUS),
    "async": (False, MS_SYNCHRONOUS),
    "dirsync": (True, MS_DIRSYNC),
    "mand": (True, MS_MANDLOCK),
    "nomand": (False, MS_MANDLOCK),
    "noatime": (True, MS_NOATIME),
    "atime": (False, MS_NOATIME),
    "nodiratime": (True, MS_NODIRATIME),
    "diratime": (False, MS_NODIRATIME),
    "relatime": (True, MS_RELATIME),
    "norelatime": (False, MS_RELATIME),
    "strictatime": (True, MS_STRICTATIME),
    "nostrictatime": (False, MS_STRICTATIME),
    "silent": (True, MS_SILENT),
    "bind": (True, MS_BIND),
    "rbind": (True, MS_BIND | MS_REC),
    "remount": (True, MS_REMOUNT),
    "defaults": (True, 0),
}
_PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}


def parse_options(options: list[str] | tuple[str, ...]) -> tuple[int, int, str]:
    """Options → (flags, propagation flags or 0, the data left over for the file system)."""
    flags = 0
    propagation = 0
    data = []
    for option in options:
        if option in _FLAGS:
            present, flag = _FLAGS[option]
            flags = flags | flag if present else flags & ~flag
        elif option in _PROPAGATION:
            propagation = _PROPAGATION[option]
        else:
            data.append(option)
    return flags, propagation, ",".join(data)


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    check(
        libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(fstype) if fstype else None,
            ctypes.c_ulong(flags),
            os.fsencode(data) if data else None,
        ),
        f"mount {fstype or 'bind'} {source}" if source else "mount",
        target,
    )


def mount_stack(
    mounts: list[tuple[str, str, tuple[str, ...]]], target: str, opened: tuple[int, ...] = ()
) -> None:
    """Mount (type, source, options) one over the other at `target`.

    `%N` among an overlay's lower layers is the root of the Nth of them. `opened` are descriptors of the
    first ones, if they are mounted nowhere yet. An overlay's directories are given by descriptor: its options
    show in the mount table, must fit a page, and are nobody's business.
    """
    roots: list[int] = []
    held: list[int] = []
    try:
        for number, (kind, source, options) in enumerate(mounts):
            if number < len(opened):
                move_mount(opened[number], target)
            else:
                given = [_by_descriptor(option, roots, held) for option in options]
                flags, _, data = parse_options(given)
                mount(source, target, "" if flags & MS_BIND else kind, flags, data)
            if len(roots) + 1 < len(mounts):
                roots.append(os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    finally:
        for descriptor in (*roots, *held):
            os.close(descriptor)


_DIRECTORIES_OF_OVERLAY = ("lowerdir", "upperdir", "workdir")


def _by_descriptor(option: str, roots: list[int], held: list[int]) -> str:
    """`held` gets the descriptors that are opened for it."""
    name, equals, value = option.partition("=")
    if name not in _DIRECTORIES_OF_OVERLAY:
        return option
    paths = []
    for path in value.split(":") if name == "lowerdir" else [value]:
        if path[:1] == "%":
            descriptor = roots[int(path[1:])]
        else:
            descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            held.append(descriptor)
        paths.append(f"/proc/self/fd/{descriptor}")
    return name + equals + ":".join(paths)


class _StatFs(ctypes.Structure):
    """statfs(2); what follows the type is of no interest here, and at most this long."""

    _fields_ = [("f_type", ctypes.c_long), ("rest", ctypes.c_byte * 248)]


PROC, SYSFS = 0x9FA0, 0x62656572


def filesystem_type(descriptor: int) -> int:
    """The magic number of the file system that it is open in. Raises OSError."""
    found = _StatFs()
    check(libc.fstatfs(ctypes.c_int(descriptor), ctypes.byref(found)), "fstatfs")
    kind: int = found.f_type
    return kind


def move_mount(descriptor: int, target: str) -> None:
    """Attach what fsmount(2) or open_tree(2) returned. `target` may be /proc/self/fd/N."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_SYMLINKS
    arguments = (descriptor, b"", AT_FDCWD, os.fsencode(target), flags)
    syscall(SYS_MOVE_MOUNT, "move_mount", *arguments, path=target)


def attach(tree: int, point: int) -> None:
    """Mount what fsmount(2) or open_tree(2) returned on what `point` is open at: no path is resolved, so that
    nobody can lead it elsewhere. From then on `tree` is the mount's root."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    syscall(SYS_MOVE_MOUNT, "move_mount", tree, b"", point, b"", flags)


def open_tree(source: str | int, *, below: bool = False) -> int:
    """A copy of the mount at a path or descriptor, and of those `below` it, that is mounted nowhere; kernel
    5.2 and up. Its root is what is there. Raises OSError."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if below else 0)
    if isinstance(source, int):
        return syscall(SYS_OPEN_TREE, "open_tree", source, b"", flags | AT_EMPTY_PATH)
    return syscall(SYS_OPEN_TREE, "open_tree", AT_FDCWD, os.fsencode(source), flags, path=source)


def umount(target: str, flags: int = 0) -> None:
    check(libc.umount2(os.fsencode(target), flags), "umount", target)


def pivot_root(new_root: str, put_old: str) -> None:
    syscall(SYS_PIVOT_ROOT, "pivot_root", os.fsencode(new_root), os.fsencode(put_old), path=new_root)


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def restrict(target: int | str, attributes: int) -> None:
    """mount_setattr(2), kernel 5.12 and up: a mount, by path or by descriptor, and every mount below it gets
    attributes of `MOUNT_ATTR_`. Raises OSError, with ENOSYS from older kernels."""
    wanted = _MountAttr(attr_set=attributes)
    directory, path, flags = (
        (target, b"", AT_EMPTY_PATH) if isinstance(target, int) else (AT_FDCWD, os.fsencode(target), 0)
    )
    syscall(
        SYS_MOUNT_SETATTR,
        "mount_setattr",
        directory,
        path,
        flags | AT_RECURSIVE,
        ctypes.byref(wanted),
        ctypes.sizeof(wanted),
        path=os.fsdecode(path),
    )


def only_to_look_at(target: int | str) -> None:
    """For mounts of somebody else's files that no program is run from and no device opened in. On kernels
    that cannot, nothing is opened there without looking first, either."""
    try:
        restrict(target, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
