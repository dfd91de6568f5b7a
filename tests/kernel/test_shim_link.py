"""The engine's end of the connection to a real shim. Needs root."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from argosy.engine.shim_link import ShimError, ShimLink
from argosy.errors import Conflict, Unavailable

# The shim is meant to outlive who started it, which is what Popen warns of.
pytestmark = [pytest.mark.root, pytest.mark.filterwarnings("ignore:subprocess .* is still running")]


def with_link(
    directory: Path,
    body: Callable[[ShimLink], Awaitable[None]],
    on_event: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Runs `body` with a link to a shim that it starts, and that ends with it."""

    async def main() -> None:
        link = ShimLink(os.fspath(directory), os.fspath(directory / "shim.log"), on_event)
        await link.connect()
        pid = link.pid
        try:
            await body(link)
        finally:
            link.close()
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    asyncio.run(main())


def test_a_shim_is_started_when_there_is_none_and_found_again(tmp_path: Path) -> None:
    async def body(link: ShimLink) -> None:
        again = ShimLink(os.fspath(tmp_path), os.fspath(tmp_path / "shim.log"), lambda _: None)
        await again.connect()
        assert again.pid == link.pid
        again.close()

    with_link(tmp_path, body)


def test_a_client_may_have_sent_more_than_a_message_holds(tmp_path: Path) -> None:
    async def body(link: ShimLink) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            await link.attach(
                theirs, "c", "", stdin=True, stdout=True, stderr=True, detach_keys=b"", initial=bytes(1 << 20)
            )
        assert (await link.ask({"op": "hello"}))["pid"] == link.pid

    with_link(tmp_path, body)


def test_a_refusal_is_an_error_with_its_status(tmp_path: Path) -> None:
    async def body(link: ShimLink) -> None:
        with pytest.raises(ShimError) as missing:
            await link.ask({"op": "resize", "id": "c", "height": 1, "width": 1})
        assert (missing.value.kind, missing.value.status) == ("missing", 404)
        with pytest.raises(Conflict, match="container c is not running"):
            await link.signal("c", "", 15)

    with_link(tmp_path, body)


def test_many_questions_at_once_are_all_answered(tmp_path: Path) -> None:
    async def body(link: ShimLink) -> None:
        answers = await asyncio.gather(*(link.ask({"op": "hello"}) for _ in range(2000)))
        assert {answer["pid"] for answer in answers} == {link.pid}

    with_link(tmp_path, body)


def test_the_end_of_the_shim_fails_what_waits_and_is_told(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []

    async def body(link: ShimLink) -> None:
        os.kill(link.pid, signal.SIGSTOP)
        answer = link.ask({"op": "hello"})
        os.kill(link.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="argosy-shim does not answer"):
            await answer
        with pytest.raises(Unavailable, match="argosy-shim is not connected"):
            link.tell({"op": "hello"})

    with_link(tmp_path, body, events.append)
    assert events == [{"event": "lost"}]
