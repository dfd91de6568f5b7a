"""A build told as the classic builder tells it: JSON messages whose `stream` is text."""

import re
from collections.abc import Callable, Sequence

import msgspec

from argosy.build.builder import Result
from argosy.build.progress import Began, Ended, Event, Said, Warned
from argosy.image.reference import parse_reference

_encode = msgspec.json.Encoder().encode
_SHORT = 12
_LABEL = re.compile(r"\[[^\]]*?(\d+)/(\d+)\] (.*)", re.DOTALL)


class Classic:
    """`quiet`: nothing but the image's ID is told."""

    def __init__(self, write: Callable[[bytes], object], *, quiet: bool = False) -> None:
        self._write = write
        self._quiet = quiet

    def report(self, event: Event) -> None:
        if self._quiet:
            return
        match event:
            case Began():
                found = _LABEL.match(event.name)
                if found is not None:
                    self._say(f"Step {found[1]}/{found[2]} : {found[3]}\n")
            case Said():
                self._say(event.data.decode(errors="replace"))
            case Ended(cached=True):
                self._say(" ---> Using cache\n")
            case Warned():
                self._say(f"[Warning] {event.message}\n")

    def done(self, result: Result, tags: Sequence[str]) -> None:
        assert result.image is not None
        if self._quiet:
            self._say(f"{result.image.id}\n")
            return
        self._message({"aux": {"ID": result.image.id}})
        self._say(f"Successfully built {result.image.id.partition(':')[2][:_SHORT]}\n")
        for tag in tags:
            self._say(f"Successfully tagged {parse_reference(tag).with_default_tag().familiar}\n")

    def fail(self, message: str, code: int = 0) -> None:
        detail: dict[str, object] = {"message": message}
        if code:
            detail["code"] = code
        self._message({"errorDetail": detail, "error": message})

    def _say(self, text: str) -> None:
        self._message({"stream": text})

    def _message(self, message: dict[str, object]) -> None:
        self._write(_encode(message) + b"\r\n")
