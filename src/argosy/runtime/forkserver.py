"""Where a process is born: a copy of the shim that has nothing to do but to clone itself.

The shim itself would pay for each birth: a clone shares all of the memory, and whichever of the two then
writes to a page copies it. Here nothing is written between two births, however much the shim holds and
does. The children are the shim's, which reaps them: CLONE_PARENT.
"""

import array
import contextlib
import errno
import gc
import marshal
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from argosy.linux import namespaces, process

_REQUEST = struct.Struct("=Qii")
_ANSWER = struct.Struct("=ii")
# Its channel, its stdio, what it is to be, and the PID namespace that it is born in.
_DESCRIPTORS = 6


# The life of a child: a file with what the shim has put in (see `unpacked`), the PID namespace it was born
# in or -1, its channel to the shim, its stdio.
Main = Callable[[int, int, int, tuple[int, int, int]], NoReturn]


class ForkServer:
    """The shim's end. If the server dies, the next birth has a new one.

    `prepare` is what it does before it serves. Failing costs time, later, and nothing else.
    """

    def __init__(self, *mains: Main, prepare: Callable[[], None] = lambda: None) -> None:
        self._mains = mains
        self._prepare = prepare
        self._pid = 0
        self._socket = self._started()

    def spawn(
        self,
        main: Main,
        parcel: Any,
        flags: int,
        channel: int,
        stdio: tuple[int, int, int],
        namespace: int = -1,
    ) -> tuple[int, int]:
        """The PID and a pidfd of a new child that runs `main`, one of those given at the start.

        `flags` are the namespaces that clone3 makes; `namespace` is the PID namespace it is born in, as a
        file or by a process. Raises OSError.
        """
        packed = _packed(parcel)
        try:
            descriptors = [channel, *stdio, packed]
            if namespace >= 0:
                descriptors.append(namespace)
            request = _REQUEST.pack(flags, self._mains.index(main), namespace >= 0)
            return self._ask(request, descriptors)
        finally:
            os.close(packed)

    def _ask(self, request: bytes, descriptors: list[int]) -> tuple[int, int]:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self._socket.sendmsg([request], rights)
        except ConnectionError:
            # It died idle: nobody was being born.
            self._restart()
            self._socket.sendmsg([request], rights)
        try:
            answer, received = _receive(self._socket, _ANSWER.size)
        except ConnectionError:
            answer, received = b"", []
        if not answer:
            self._restart()
            raise OSError(errno.ECONNRESET, "the fork server died during a start")
        pid, error = _ANSWER.unpack(answer)
        if error:
            raise OSError(error, f"clone3: {os.strerror(error)}")
        return pid, received[0]

    def _restart(self) -> None:
        self._socket.close()
        os.waitpid(self._pid, 0)
        self._socket = self._started()

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if not self._pid:
            # Nothing of the shim's may run in here, whatever happens.
            with contextlib.suppress(BaseException):
                process.close_all_except([0, 1, 2, theirs.fileno()])
                process.set_name("argosy-fork")
                try:
                    self._prepare()
                except Exception as error:  # noqa: BLE001  it has to serve, warm or cold
                    print(f"the fork server stays cold: {error}", file=sys.stderr, flush=True)
                gc.collect()
                gc.freeze()
                gc.disable()
                _serve(theirs, self._mains)
            os._exit(0)
        theirs.close()
        return ours


def unpacked(parcel: int) -> Any:
    """What the shim has put in."""
    try:
        return marshal.loads(os.pread(parcel, os.fstat(parcel).st_size, 0))
    finally:
        os.close(parcel)


def _packed(parcel: Any) -> int:
    """A file in memory: a message to a socket has a greatest size. By marshal, which is for one and the same
    interpreter and the fastest; values of the types that it knows."""
    descriptor = os.memfd_create("parcel", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            file.write(marshal.dumps(parcel))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _serve(connection: socket.socket, mains: tuple[Main, ...]) -> None:
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    while True:
        request, descriptors = _receive(connection, _REQUEST.size)
        if not request:
            return
        flags, number, is_elsewhere = _REQUEST.unpack(request)
        namespace = descriptors[_DESCRIPTORS - 1] if is_elsewhere else -1
        pid, pidfd, error = -1, -1, 0
        try:
            if is_elsewhere:
                # A process enters another PID namespace only by birth.
                namespaces.setns(namespace, namespaces.CLONE_NEWPID)
            try:
                pid, pidfd = namespaces.clone(flags | namespaces.CLONE_PARENT)
                if pid == 0:
                    channel, stdin, stdout, stderr, parcel = descriptors[: _DESCRIPTORS - 1]
                    mains[number](parcel, namespace, channel, (stdin, stdout, stderr))
            finally:
                if is_elsewhere:
                    namespaces.setns(own, namespaces.CLONE_NEWPID)
        except OSError as failure:
            error = failure.errno or errno.EIO
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [pidfd]))] if pidfd >= 0 else []
        connection.sendmsg([_ANSWER.pack(pid, error)], rights)
        for descriptor in (*descriptors, pidfd):
            if descriptor >= 0:
                os.close(descriptor)


def _receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
    room = socket.CMSG_SPACE(_DESCRIPTORS * 4)
    data, ancillary, _, _ = connection.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for _, _, payload in ancillary:
        descriptors.frombytes(payload)
    return data, list(descriptors)
