"""Both ends of a connection in one process."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from argosy.api.buildkit.connection import Connection, Handle


@contextlib.contextmanager
def connected(handle: Handle) -> Iterator[Connection]:
    """The client's end of a connection that `handle` serves."""
    ours, theirs = socket.socketpair()
    server, client = Connection(theirs, handle), Connection(ours, None)
    threads = [threading.Thread(target=end.run) for end in (server, client)]
    for thread in threads:
        thread.start()
    try:
        yield client
    finally:
        client.close()
        for thread in threads:
            thread.join()
