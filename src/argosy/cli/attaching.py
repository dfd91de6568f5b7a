"""Attached to a container: its streams, the user's signals and window, and its exit code.

The stream is attached and the exit awaited before the start, so that neither the first byte nor the exit of
a container that lives a millisecond is missed.
"""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.cli.session import Interrupted, Session
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.client.transport import Response

ENGINE_FAILED = 125


class Attachment:
    def __init__(
        self,
        context: Context,
        container: str,
        *,
        tty: bool,
        stdin: bool,
        stdout: bool = True,
        stderr: bool = True,
        detach_keys: str = "",
    ) -> None:
        self._context = context
        self._container = container
        self._tty = tty
        self._stdin = stdin
        self._waiting: Response | None = None
        keys = b""
        if tty and stdin:
            from argosy.cli.detach import parse_keys

            keys = parse_keys(detach_keys)
        self._stream, rest = context.client.attach_container(
            container, stdin=stdin, stdout=stdout, stderr=stderr, detachKeys=detach_keys
        )
        self._session = Session(self._stream, rest, tty=tty, stdin=stdin, detach_keys=keys)

    def watch(self, condition: str) -> None:
        """Await the exit, or the removal, from now on."""
        self._waiting = self._context.client.wait_container(self._container, condition)

    def proxy_signals(self) -> None:
        self._session.proxy_signals(self._kill)

    def abandon(self, *, removed: bool = False) -> None:
        """The start failed. A container that removes itself is gone when this returns."""
        self._stream.close()
        if removed and self._waiting is not None:
            self._waiting.read()

    def run(self, *, detached: str = "", redraw: bool = False) -> int:
        """Until the container exits: its code. When the user detached: 0, or a failure that says so."""
        try:
            ended = self._run_session(redraw)
        except Interrupted:
            raise Failure("\ngot 3 SIGTERM/SIGINTs, forcefully exiting") from None
        self._stream.close()
        if not ended:
            if detached:
                raise Failure(detached)
            return 0
        return self._exit_code()

    def _run_session(self, redraw: bool) -> bool:
        if not self._tty:
            return self._session.run()
        from argosy.cli.foreground import with_terminal

        resize = self._context.client.resize_container
        return with_terminal(
            self._session,
            self._stdin,
            lambda rows, columns: resize(self._container, rows, columns),
            redraw=redraw,
        )

    def _exit_code(self) -> int:
        answer = (self._waiting.json() if self._waiting is not None else None) or {}
        complaint = (answer.get("Error") or {}).get("Message")
        if complaint:
            sys.stderr.write(f"Error waiting for container: {complaint}\n")
            return ENGINE_FAILED
        return int(answer.get("StatusCode", 0))

    def _kill(self, name: str) -> None:
        try:
            self._context.client.kill_container(self._container, name)
        except APIError as error:
            # The container may be gone already; that is what the signal was for.
            if error.status not in (404, 409):
                self._context.report(error)
