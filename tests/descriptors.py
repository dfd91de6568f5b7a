"""Which descriptors a test leaves open. Others may be closed meanwhile: threads of earlier tests end late."""

import contextlib
import os


def opened() -> dict[str, str]:
    """The target of each descriptor of this process, by its number."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        # The one that lists them is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


def left_open(before: dict[str, str]) -> dict[str, str]:
    """Those that `before` did not have."""
    return {number: target for number, target in opened().items() if before.get(number) != target}
