"""Who runs the processes of a build. The engine does; a test may."""

from collections.abc import Callable
from typing import Protocol

from argosy.spec.build_step import BuildStep

# 1 or 2, and what was written there.
Output = Callable[[int, bytes], object]


class Worker(Protocol):
    """Thread-safe."""

    def run(self, step: BuildStep, output: Output, left_out: set[bytes]) -> int:
        """Run it to its end. Returns the exit code, or 128 and the signal that ended it.

        What is made in its root only for something to be mounted there goes into `left_out`. Raises
        InvalidParameter if it cannot be started for a reason that its user can mend.
        """

    def kill(self, identifier: str) -> None:
        """End a step that runs. Idempotent; one that has not begun yet will end as it begins."""
