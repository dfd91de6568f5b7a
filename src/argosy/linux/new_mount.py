"""The mount API of Linux 5.2 and up: file systems that are mounted nowhere, held by a descriptor.

fsopen(2), fsconfig(2), fsmount(2). Such a mount lives as long as its descriptor or whatever is mounted
on top of it; from Linux 6.15 on, its root can be a layer of an overlay in any mount namespace, by the
path /proc/PID/fd/N.
"""

import os

from argosy.linux.libc import SYS_FSCONFIG, SYS_FSMOUNT, SYS_FSOPEN, syscall

_FSOPEN_CLOEXEC = 1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_FSMOUNT_CLOEXEC = 1
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NODEV = 1, 4


def open_filesystem(kind: str, options: list[tuple[str, str]], attributes: int = 0) -> int:
    """A descriptor of a new mount. An option without a value is a flag.

    Raises OSError, its message ending in what the kernel says about it.
    """
    context = syscall(SYS_FSOPEN, "fsopen", kind.encode(), _FSOPEN_CLOEXEC, path=kind)
    try:
        for name, value in options:
            command = _FSCONFIG_SET_STRING if value else _FSCONFIG_SET_FLAG
            text = os.fsencode(value) if value else None
            syscall(SYS_FSCONFIG, f"{kind}: {name}", context, command, name.encode(), text, 0, path=value)
        syscall(SYS_FSCONFIG, f"mount {kind}", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return syscall(SYS_FSMOUNT, f"mount {kind}", context, _FSMOUNT_CLOEXEC, attributes)
    except OSError as error:
        said = _messages(context)
        if not said:
            raise
        raise OSError(error.errno, f"{error.strerror}: {said}", error.filename) from None
    finally:
        os.close(context)


def _messages(context: int) -> str:
    """What fsopen(2)'s descriptor has to say: lines that begin with `e `, `w ` or `i `."""
    lines = []
    while True:
        try:
            lines.append(os.read(context, 4096).decode(errors="replace").strip()[2:])
        except OSError:
            # ENODATA: nothing more.
            return "; ".join(lines)
