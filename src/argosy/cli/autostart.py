"""Bring the engine up when its default socket does not answer; stop it; say how it fares."""

from __future__ import annotations

import errno
import os
import sys
import time

from argosy.cli.failure import Failure
from argosy.client.errors import ConnectionFailed
from argosy.client.transport import Address

LOG = "/var/log/argosyd.log"
PID_FILE = "/run/argosy/argosyd.pid"
PATIENCE = 10.0
_PAUSE = 0.01
_ABSENT = (errno.ENOENT, errno.ECONNREFUSED)


def start_for(failure: ConnectionFailed) -> bool:
    """Start the engine if that is what is missing. False leaves the failure to be reported."""
    if failure.errno not in _ABSENT or os.geteuid() != 0:
        return False
    start(failure.address)
    return True


def start(address: str) -> None:
    """Spawn the engine and wait until it answers. Raises Failure."""
    import subprocess

    # It tells what containers are called and run.
    with open(os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab") as log:
        os.fchmod(log.fileno(), 0o600)
        process = subprocess.Popen(
            [sys.executable, "-m", "argosy.daemon"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answers(Address(address)):
            return
        if process.poll() is not None:
            raise Failure(f"argosy: the engine could not be started; its log says:\n{_last_lines()}")
        time.sleep(_PAUSE)
    raise Failure(f"argosy: the engine did not answer within {PATIENCE:.0f} seconds; see {LOG}")


def answers(address: Address) -> bool:
    try:
        address.connect().close()
    except ConnectionFailed:
        return False
    return True


def _last_lines(count: int = 5) -> str:
    with open(LOG, "rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - 4096))
        lines = log.read().decode("utf-8", "replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-count:])


def engine_pid() -> int | None:
    """The running engine's process, if there is one."""
    try:
        with open(PID_FILE) as file:
            pid = int(file.read().strip())
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (OSError, ValueError):
        return None
    return pid


def explain(failure: ConnectionFailed) -> str:
    """Docker's words for an engine that cannot be reached, and what to do about it."""
    if failure.errno in (errno.EACCES, errno.EPERM):
        return (
            f"permission denied while trying to connect to the Docker daemon socket at {failure.address}\n"
            "hint: run as root, or join the group that owns the socket"
        )
    if failure.errno == errno.EPROTO:
        return f"error during connect: {failure}"
    text = f"Cannot connect to the Docker daemon at {failure.address}. Is the docker daemon running?"
    if failure.errno in _ABSENT and failure.address.endswith("/argosy.sock"):
        return f"{text}\nhint: start the engine as root: argosy system start"
    return text
