"""A session with a terminal: raw mode while it lasts, and the window's size handed on as it changes."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

from argosy.cli import terminal
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from argosy.cli.session import Session

STDIN, STDOUT = 0, 1


def resizer(resize: Callable[[int, int], None]) -> Callable[[], None]:
    def handle() -> None:
        size = terminal.size(STDOUT)
        if size is None:
            return
        try:
            resize(*size)
        except APIError:
            # The process may have ended between the window's change and this request.
            return

    return handle


def with_terminal(
    session: Session, stdin: bool, resize: Callable[[int, int], None], *, redraw: bool = False
) -> bool:
    """Run the session; False when the user detached. `redraw` makes the program inside show its prompt."""
    handle = resizer(resize)
    session.on_signal(_signal.SIGWINCH, handle)
    with terminal.RawMode(STDIN if stdin else -1):
        if redraw:
            # A program redraws when its window changes, and a window of the same size does not change.
            resizer(lambda rows, columns: resize(rows + 1, columns + 1))()
        handle()
        return session.run()
