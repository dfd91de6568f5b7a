"""A build's events, as text: plain lines, or raw JSON. The live display on a terminal is in `live`."""

from __future__ import annotations

import base64
import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    Event = dict[str, Any]

NANOSECONDS = 1_000_000_000


class Step:
    """One as far as it is known. Times in Unix nanoseconds, 0 for not yet."""

    def __init__(self, event: Event) -> None:
        self.number: int = event["number"]
        self.name: str = event["name"]
        self.began: int = event["time"]
        self.ended = 0
        self.cached = False
        self.error = ""
        self.log: list[str] = []
        self.counts: dict[str, tuple[int, int, bool]] = {}
        self._unfinished = b""

    @property
    def is_running(self) -> bool:
        return not self.ended

    def seconds(self) -> float:
        return ((self.ended or time.time_ns()) - self.began) / NANOSECONDS

    def say(self, event: Event) -> list[str]:
        """The lines that are complete now, each with the seconds since the step began."""
        at = (event["time"] - self.began) / NANOSECONDS
        data = self._unfinished + base64.b64decode(event["data"])
        *whole, self._unfinished = data.split(b"\n")
        return self._kept([f"{at:.3f} {_shown(line)}" for line in whole])

    def end(self, event: Event) -> list[str]:
        """The line that was not complete, if there is one."""
        self.ended = event["time"]
        self.cached = event.get("cached", False)
        self.error = event.get("error", "")
        if not self._unfinished:
            return []
        line, self._unfinished = self._unfinished, b""
        return self._kept([f"{self.seconds():.3f} {_shown(line)}"])

    def _kept(self, lines: list[str]) -> list[str]:
        self.log += lines
        return lines


def _shown(line: bytes) -> str:
    """What a carriage return has overwritten is gone; nothing moves the user's cursor."""
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
    return "".join(letter if letter >= " " or letter in "\t\x1b" else "" for letter in text)


class Display:
    """Knows all steps; the displays below show them. `step` is the one that an event is of."""

    def __init__(self, output: TextIO) -> None:
        self.output = output
        self.steps: dict[int, Step] = {}
        self.warnings: list[Event] = []

    def show(self, event: Event) -> None:
        kind = event["type"]
        if kind == "began":
            step = self.steps[event["number"]] = Step(event)
            self.began(step)
        elif kind == "warned":
            self.warnings.append(event)
            self.warned(event)
        elif kind in ("said", "counted", "ended"):
            step = self.steps[event["number"]]
            if kind == "said":
                self.said(step, step.say(event))
            elif kind == "counted":
                step.counts[event["id"]] = (event["current"], event["total"], event.get("done", False))
            else:
                lines = step.end(event)
                if lines:
                    self.said(step, lines)
                self.finished(step)

    def began(self, step: Step) -> None: ...

    def said(self, step: Step, lines: list[str]) -> None: ...

    def finished(self, step: Step) -> None: ...

    def warned(self, event: Event) -> None: ...

    def close(self, *, done: bool) -> None:
        """No event comes any more. What failed, `fail` tells."""

    def fail(self, failure: Event) -> str:
        """What failed, with all that its step has said and the Dockerfile's lines."""
        parts = []
        step = next((each for each in self.steps.values() if each.error and each.log), None)
        if step is not None:
            parts.append(f"------\n > {step.name}:")
            parts += step.log
            parts.append("------")
        parts += self.summary_of_warnings()
        if failure.get("excerpt"):
            parts.append(failure["excerpt"].rstrip("\n"))
        parts.append(f"ERROR: failed to build: failed to solve: {failure['message']}")
        if failure.get("hint"):
            parts.append(failure["hint"])
        return "\n".join(parts)

    def summary_of_warnings(self) -> list[str]:
        if not self.warnings:
            return []
        count = len(self.warnings)
        found = "1 warning" if count == 1 else f"{count} warnings"
        lines = ["", f" {found} found (use --check to see more):"]
        return [*lines, *(f" - {each['message']}" for each in self.warnings)]


class Quiet(Display):
    """Nothing until something fails."""


class Plain(Display):
    """Lines with the step's number before them; blocks of different steps are apart."""

    def __init__(self, output: TextIO) -> None:
        super().__init__(output)
        self._last = 0

    def began(self, step: Step) -> None:
        self._turn(step)

    def said(self, step: Step, lines: list[str]) -> None:
        self._turn(step)
        for line in lines:
            self.output.write(f"#{step.number} {line}\n")
        self.output.flush()

    def finished(self, step: Step) -> None:
        self._turn(step)
        for identifier, (current, _, _) in step.counts.items():
            from argosy.units import format_bytes

            self.output.write(f"#{step.number} {identifier} {format_bytes(current)} done\n")
        if step.error:
            self.output.write(f"#{step.number} ERROR: {step.error}\n")
        elif step.cached:
            self.output.write(f"#{step.number} CACHED\n")
        else:
            self.output.write(f"#{step.number} DONE {step.seconds():.1f}s\n")
        self.output.flush()

    def close(self, *, done: bool) -> None:
        for line in self.summary_of_warnings() if done else ():
            self.output.write(f"{line}\n")

    def _turn(self, step: Step) -> None:
        if self._last == step.number:
            return
        before = "\n" if self._last else ""
        self.output.write(f"{before}#{step.number} {step.name}\n")
        self._last = step.number


class Raw(Display):
    """BuildKit's SolveStatus in JSON, a line for each event."""

    def show(self, event: Event) -> None:
        super().show(event)
        document = self._document(event)
        if document:
            self.output.write(f"{json.dumps(document, separators=(',', ':'))}\n")
            self.output.flush()

    def fail(self, failure: Event) -> str:
        return f"ERROR: failed to build: failed to solve: {failure['message']}"

    def _document(self, event: Event) -> Event:
        kind = event["type"]
        if kind == "warned":
            return {"warnings": [{"short": _base64(event["message"]), "url": event.get("url", "")}]}
        step = self.steps.get(event.get("number", 0))
        if step is None:
            return {}
        if kind == "said":
            log = {"vertex": _digest(step), "stream": event["stream"], "data": event["data"]}
            return {"logs": [{**log, "timestamp": _moment(event["time"])}]}
        if kind == "counted":
            status = {"id": event["id"], "vertex": _digest(step), "current": event["current"]}
            return {"statuses": [{**status, "total": event["total"], "timestamp": _moment(event["time"])}]}
        vertex: Event = {"digest": _digest(step), "name": step.name, "started": _moment(step.began)}
        if step.ended:
            vertex["completed"] = _moment(step.ended)
        if step.cached:
            vertex["cached"] = True
        if step.error:
            vertex["error"] = step.error
        return {"vertexes": [vertex]}


def _digest(step: Step) -> str:
    from hashlib import sha256

    return f"sha256:{sha256(f'{step.number} {step.name}'.encode(errors='replace')).hexdigest()}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="replace")).decode()


def _moment(nanoseconds: int) -> str:
    from argosy.units import rfc3339

    return rfc3339(nanoseconds)
