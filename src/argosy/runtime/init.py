"""The forked child: from the fork server's memory to the container's first instruction.

Until exec this process holds the host's privileges inside a world that the container will control, so
it is not dumpable (nothing may ptrace it or read its /proc entries), keeps no descriptor that it does
not need, and reads only what the engine wrote. It reports over a SOCK_SEQPACKET socket that closes by
itself at exec: `{"terminal": true}` with the terminal's descriptor, or `{"error": …}`; an end without
an error means that the program runs.
"""

import array
import json
import os
import socket
import sys
from typing import Any, NoReturn

from argosy.linux import cgroup, namespaces, process, tty
from argosy.runtime import forkserver, plan
from argosy.runtime.operations import Context, Operation, Refused
from argosy.spec.oci_runtime import Process

EXEC_NAMESPACES = ("mount", "network", "ipc", "uts", "cgroup")


def container_main(parcel: int, _: int, channel: int, stdio: tuple[int, int, int]) -> NoReturn:
    """Become the first process of a container. What can be made ready is so before the fork, where it is
    cheaper: every page that the child so much as counts a reference in has to be copied."""
    _guarded(channel, lambda: _container(parcel, channel, stdio))


def exec_main(parcel: int, pidfd: int, channel: int, stdio: tuple[int, int, int]) -> NoReturn:
    """Become a further process of the container whose first one is behind `pidfd`."""
    _guarded(channel, lambda: _exec(parcel, pidfd, channel, stdio))


def _guarded(channel: int, body: Any) -> NoReturn:
    try:
        body()
    except Refused as error:
        _report(channel, str(error), "refused")
    except BaseException as error:  # noqa: BLE001  whatever it is, the engine must hear of it
        _report(channel, _described(error), "failed")
    os._exit(127)


def _described(error: BaseException) -> str:
    """In the words of the call that failed; whatever else it is, is a fault of ours."""
    if isinstance(error, OSError) and error.errno:
        place = f" {os.fsdecode(error.filename)}" if error.filename else ""
        return f"{(error.strerror or os.strerror(error.errno)).lower()}{place}"
    return f"{type(error).__name__}: {error}"


def _report(channel: int, message: str, kind: str) -> None:
    os.write(channel, json.dumps({"error": message, "kind": kind}).encode())


def _enter(kept: list[int]) -> None:
    process.prctl(process.PR_SET_DUMPABLE, 0)
    process.close_all_except(kept)
    # In the container's root, where Python would look from here on, modules are the container's.
    sys.meta_path.clear()
    os.setsid()
    process.join_new_session_keyring()


def _container(parcel: int, channel: int, stdio: tuple[int, int, int]) -> None:
    _enter([channel, parcel, *stdio])
    os.umask(0)
    steps, specification, seccomp_program = forkserver.unpacked(parcel)
    _run(plan.read(steps), specification, channel, stdio, seccomp_program)


def _exec(parcel: int, pidfd: int, channel: int, stdio: tuple[int, int, int]) -> None:
    _enter([channel, parcel, pidfd, *stdio])
    request = forkserver.unpacked(parcel)
    with open(request["bundle"], encoding="utf-8") as file:
        document = json.load(file)
    specification: Process = document["process"]
    context_seccomp = b""
    if document.get("seccomp"):
        with open(document["seccomp"], "rb") as program:
            context_seccomp = program.read()
    if document.get("cgroup"):
        cgroup.group(document["cgroup"]).join()
    flags = sum(namespaces.NAMESPACES[name][0] for name in EXEC_NAMESPACES)
    namespaces.setns(pidfd, flags)
    os.close(pidfd)
    os.umask(0)
    steps = plan.plan_exec(specification)
    _run(steps, specification, channel, stdio, context_seccomp)


def _run(
    steps: list[Operation],
    specification: Process,
    channel: int,
    stdio: tuple[int, int, int],
    seccomp_program: bytes = b"",
) -> None:
    environment = dict(item.partition("=")[::2] for item in specification.get("env", []))
    context = Context(environment)
    context.seccomp_program = seccomp_program
    for step in steps:
        step.execute(context)
    if context.terminal_slave >= 0:
        _hand_over_terminal(channel, context)
        stdio = (context.terminal_slave,) * 3
    for target, source in enumerate(stdio):
        # A terminal may have come to be 0, 1 or 2 itself; dup2 would leave it to be closed at exec.
        os.dup2(source, target)
        os.set_inheritable(target, True)
    for step in plan.plan_credentials(specification):
        step.execute(context)


def _hand_over_terminal(channel: int, context: Context) -> None:
    os.fchown(context.terminal_slave, context.identity.uid, -1)
    tty.make_controlling(context.terminal_slave)
    with socket.socket(fileno=os.dup(channel)) as connection:
        rights = array.array("i", [context.terminal_master])
        connection.sendmsg([b'{"terminal":true}'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(context.terminal_master)
