"""What the engine and the shim say to each other.

Over a SOCK_SEQPACKET Unix socket, a JSON object a message; descriptors travel by SCM_RIGHTS. The
engine asks with a number `seq`, and the answer repeats it: `{"seq": 7, …}`, or `{"seq": 7, "error": …,
"kind": …}` where `kind` is `refused` (the user can mend it), `missing` (no such process) or `failed`.

engine → shim
    hello                               → a `known` message for each process, then {"seq", "pid", "version"}
    start   id bundle log open_stdin stdin_once         → {"pid"} once it has exec'd
    exec    id exec bundle open_stdin complaint         → {"pid"} once it has exec'd; bundle: its JSON file
    attach  id [exec] stdin stdout stderr detach_keys   → {}; + 2 descriptors: the client's connection,
                                                        and a file with what it has sent already
    signal  id [exec] signal                            → {}
    resize  id [exec] height width                      → {}
    release id [exec]                                   the exit is stored; the shim may forget it
    forget  id                                          a container that never started is gone
    ping                                                → {} after all that was said before
    shutdown                                            → {} if no process is left, else an error

shim → engine, unasked
    exited  id [exec] status oom time lost              repeated at `hello` until released

`status` is the exit code, or 128 + the signal's number. `time` is Unix time in nanoseconds, `lost` the
bytes of log that a full disk swallowed.
"""

import array
import json
import socket
from typing import Any

# A message must fit the socket's buffer; what may be larger travels in a file of the bundle.
MAX_MESSAGE = 128 << 10


def send(connection: socket.socket, body: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Raises OSError."""
    data = json.dumps(body, separators=(",", ":")).encode()
    if descriptors:
        rights = array.array("i", descriptors)
        connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    else:
        connection.send(data)


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """One message and its descriptors; None at the end of the connection. Raises BlockingIOError."""
    data, ancillary, _, _ = connection.recvmsg(MAX_MESSAGE, 256, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
    if not data:
        return None, list(descriptors)
    return json.loads(data), list(descriptors)
