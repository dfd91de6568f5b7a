"""What the `local` driver's options `type`, `device` and `o` mount at a volume's directory.

It is mounted when the first container that uses the volume starts, and unmounted after the last.
"""

import os
import socket

from argosy.errors import ArgosyError, InvalidParameter
from argosy.linux import mount

_KNOWN = ("device", "o", "size", "type")
_NETWORKED = ("cifs", "nfs", "nfs4")


def check(name: str, options: dict[str, str]) -> None:
    """Raises InvalidParameter in Docker's words."""
    for key in sorted(options):
        if key not in _KNOWN:
            raise InvalidParameter(f'create {name}: invalid option: "{key}"')
    if options.keys() & {"device", "o", "type"}:
        for key in ("device", "type"):
            if not options.get(key):
                raise InvalidParameter(f'create {name}: missing required option: "{key}"')
    if "size" in options:
        raise InvalidParameter(
            f"create {name}: quota size requested but no quota support",
            hint="A tmpfs has a size of its own: -o type=tmpfs -o device=tmpfs -o o=size=…",
        )


def attach(path: str, options: dict[str, str]) -> None:
    """Idempotent. Raises ArgosyError."""
    if is_mounted(path):
        return
    words = [word for word in options.get("o", "").split(",") if word]
    device, kind = options["device"], options["type"]
    if kind in _NETWORKED:
        words = [_with_address(word) for word in words]
    flags, propagation, data = mount.parse_options(words)
    try:
        mount.mount(device, path, kind, flags, data)
        if propagation:
            mount.mount("", path, flags=propagation)
    except OSError as error:
        shown = f", data: {data}" if data else ""
        reason = os.strerror(error.errno or 0).lower()
        raise ArgosyError(
            f"error while mounting volume '{path}': failed to mount local volume: mount {device}:{path}, "
            f"flags: {flags:#x}{shown}: {reason}"
        ) from None


def _with_address(word: str) -> str:
    """The kernel takes the server's address, not its name (nfs(5), `addr=`)."""
    key, _, host = word.partition("=")
    if key != "addr":
        return word
    try:
        return f"addr={socket.getaddrinfo(host, None)[0][4][0]}"
    except OSError as error:
        raise ArgosyError(f"error resolving passed in network volume address: {host}: {error}") from None


def detach(path: str) -> None:
    """Idempotent. Raises OSError (EBUSY) while somebody is inside."""
    while is_mounted(path):
        mount.umount(path)


def is_mounted(path: str) -> bool:
    escaped = os.path.realpath(path).replace("\\", "\\134").replace(" ", "\\040")
    with open("/proc/self/mountinfo") as file:
        return any(line.split(" ", 5)[4] == escaped for line in file)
