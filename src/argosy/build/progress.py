"""What a build tells of itself while it goes on, as values; `report` gets each once it is so.

A step begins, says things, and ends: done, cached, failed or called off. Reports come from many threads.
"""

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

import msgspec

from argosy.errors import ArgosyError


class Began(msgspec.Struct, tag="began", omit_defaults=True):
    """Times in Unix nanoseconds. `inputs` are the numbers of the steps that it stands on."""

    number: int
    name: str
    time: int
    stage: str = ""
    inputs: list[int] = []


class Said(msgspec.Struct, tag="said"):
    """`stream` is 1 or 2."""

    number: int
    stream: int
    data: bytes
    time: int


class Counted(msgspec.Struct, tag="counted"):
    """Something that goes on within a step: `current` of `total`, which is 0 if it is not known."""

    number: int
    id: str
    current: int
    total: int
    time: int
    done: bool = False


class Ended(msgspec.Struct, tag="ended", omit_defaults=True):
    number: int
    time: int
    cached: bool = False
    error: str = ""


class Warned(msgspec.Struct, tag="warned", omit_defaults=True):
    message: str
    detail: str = ""
    url: str = ""
    first_line: int = 0
    last_line: int = 0
    rule: str = ""
    excerpt: str = ""


Event = Began | Said | Counted | Ended | Warned
Report = Callable[[Event], object]


class Progress:
    """Thread-safe, and the reports come one at a time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._number = 0

    def begin(self, name: str, stage: str = "", inputs: list[int] | None = None) -> "StepProgress":
        with self._lock:
            self._number += 1
            step = StepProgress(self, self._number, name)
            self._report(Began(step.number, name, time.time_ns(), stage, inputs or []))
        return step

    def warn(self, warning: Warned) -> None:
        self.tell(warning)

    def tell(self, event: Event) -> None:
        with self._lock:
            self._report(event)


class StepProgress:
    """One step's. `seconds` counts from its begin."""

    def __init__(self, progress: Progress, number: int, name: str) -> None:
        self._progress = progress
        self.number = number
        self.name = name
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def __enter__(self) -> "StepProgress":
        """Ends with the `with`, for better or worse."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        message = error.message if isinstance(error, ArgosyError) else str(error or "")
        self.end(error=message or ("failed" if error is not None else ""))

    def count_transfer(self, message: Mapping[str, object]) -> None:
        """A message of a pull's or a push's."""
        detail = message.get("progressDetail")
        identifier = str(message.get("id") or "")
        if identifier and isinstance(detail, dict) and detail.get("current"):
            self.count(identifier, int(detail["current"]), int(detail.get("total") or 0))

    def say(self, stream: int, data: bytes) -> None:
        self._progress.tell(Said(self.number, stream, data, time.time_ns()))

    def count(self, identifier: str, current: int, total: int = 0, *, done: bool = False) -> None:
        self._progress.tell(Counted(self.number, identifier, current, total, time.time_ns(), done))

    def end(self, *, cached: bool = False, error: str = "") -> None:
        self._progress.tell(Ended(self.number, time.time_ns(), cached, error))
