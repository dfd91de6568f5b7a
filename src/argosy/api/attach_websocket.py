"""Attaching by WebSocket: what is sent goes to stdin; what is written comes in binary messages, raw.

The shim is given one end of a pair of sockets, as if a client had attached; the other end is bridged to the
WebSocket here, where the frames that tell stdout from stderr are taken off, as Docker does.
"""

import asyncio
import contextlib
import socket

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import RemoteProtocolError, generate_accept_token

from argosy.api.http import Request
from argosy.errors import InvalidParameter
from argosy.wire.stdstream import Unframer

_SIZE = 1 << 16
_VERSION = "13"


class Bridge:
    """`end` is what the shim is given. To be closed by `run`, or by hand if that is not reached."""

    def __init__(self, request: Request, *, framed: bool) -> None:
        """Answers the handshake. Raises InvalidParameter."""
        headers = request.headers
        key = headers.get("sec-websocket-key", "")
        if headers.get("upgrade", "").lower() != "websocket" or not key:
            raise InvalidParameter("bad request: a WebSocket's handshake is expected")
        if headers.get("sec-websocket-version") != _VERSION:
            raise InvalidParameter("bad request: unsupported version of the WebSocket protocol")
        accept = generate_accept_token(key.encode("latin-1")).decode("ascii")
        self._client, self._initial = request.hijack("", [("Sec-WebSocket-Accept", accept)])
        self._protocol = Connection(ConnectionType.SERVER)
        self._own, self.end = socket.socketpair()
        self._own.setblocking(False)
        self._unframer = Unframer() if framed else None

    def close(self) -> None:
        for each in (self._client, self._own, self.end):
            each.close()

    async def write(self, data: bytes) -> None:
        """What the container has written, framed or not, to the client."""
        for part in self._unframer.feed(data) if self._unframer else [data]:
            await self._send(self._protocol.send(BytesMessage(part)))

    async def run(self) -> None:
        """Until either side is done."""
        self.end.close()
        tasks = [asyncio.create_task(self._to_client()), asyncio.create_task(self._from_client())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.close()

    async def _to_client(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while data := await loop.sock_recv(self._own, _SIZE):
                await self.write(data)
            await self._send(self._protocol.send(CloseConnection(CloseReason.NORMAL_CLOSURE)))

    async def _from_client(self) -> None:
        loop = asyncio.get_running_loop()
        data: bytes | None = self._initial
        with contextlib.suppress(ConnectionError, RemoteProtocolError):
            while True:
                if data:
                    self._protocol.receive_data(data)
                    for event in self._protocol.events():
                        if isinstance(event, TextMessage | BytesMessage):
                            text = event.data
                            await loop.sock_sendall(
                                self._own, text.encode() if isinstance(text, str) else bytes(text)
                            )
                        elif isinstance(event, Ping):
                            await self._send(self._protocol.send(event.response()))
                        elif isinstance(event, CloseConnection):
                            await self._send(self._protocol.send(event.response()))
                            return
                data = await loop.sock_recv(self._client, _SIZE)
                if not data:
                    return

    async def _send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._client, data)
