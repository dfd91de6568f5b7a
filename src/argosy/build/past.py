"""Past builds: what each step did, said and cost, and what its result depended on."""

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from argosy.build.progress import Began, Ended, Event, Report, Said
from argosy.build.vertex import CopyVertex, RunVertex, Vertex, WorkdirVertex

_LOG_LIMIT = 64 << 10
_NANOSECONDS = 1_000_000_000
KEPT = 100


class PastStep(msgspec.Struct, rename="camel", omit_defaults=True):
    """`parts` is what its key was made of, `details` what of that the Dockerfile and the options say.

    `line` is its instruction's in the Dockerfile, 0 for what belongs to none.
    """

    name: str
    began: int
    seconds: float = 0.0
    cached: bool = False
    error: str = ""
    log: str = ""
    line: int = 0
    stage: str = ""
    parts: dict[str, str] = {}
    details: dict[str, str] = {}


class Past(msgspec.Struct, rename="camel", omit_defaults=True):
    """`place` is what was built, for comparisons; times in Unix nanoseconds."""

    id: str
    place: str
    name: str
    started: int
    seconds: float = 0.0
    status: str = "running"
    error: str = ""
    image: str = ""
    tags: list[str] = []
    arguments: dict[str, str] = {}
    steps: list[PastStep] = []


class Recorder:
    """A `Report` that passes on to another, and knows the steps afterwards. Its caller is one at a time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.steps: dict[int, PastStep] = {}
        self._logs: dict[int, bytearray] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case Began():
                self.steps[event.number] = PastStep(event.name, event.time, stage=event.stage)
            case Said():
                log = self._logs.setdefault(event.number, bytearray())
                log += event.data
                # The end tells most.
                del log[: max(0, len(log) - _LOG_LIMIT)]
            case Ended():
                step = self.steps[event.number]
                step.seconds = (event.time - step.began) / _NANOSECONDS
                step.cached, step.error = event.cached, event.error
                step.log = self._logs.pop(event.number, bytearray()).decode(errors="replace")
        self._report(event)


def details(vertex: Vertex) -> dict[str, str]:
    """What a person would look for a difference in. No values of secrets are in a vertex."""
    match vertex:
        case RunVertex():
            command = vertex.script.content if vertex.script is not None else " ".join(vertex.arguments)
            found = {"command": command, "user": vertex.user, "working directory": vertex.workdir}
            found |= {f"${name}": value for name, _, value in (e.partition("=") for e in vertex.environment)}
            found["mounts"] = " ".join(f"{each.mount.type}:{each.target}" for each in vertex.attachments)
            found["network"] = vertex.network
            return found
        case CopyVertex():
            return {
                "sources": " ".join([*vertex.sources, *vertex.remotes]),
                "destination": vertex.destination,
                "contents": "\0".join(each.content for each in vertex.inline),
                "--chown": vertex.chown,
                "--chmod": vertex.chmod,
                "--exclude": " ".join(vertex.exclude),
            }
        case WorkdirVertex():
            return {"path": vertex.path, "user": vertex.user}
    return {}


def pack_listing(files: Mapping[str, str]) -> bytes:
    """Digests by path, small enough to keep many."""
    return zlib.compress(msgspec.json.encode(files), 1)


def unpack_listing(data: bytes) -> dict[str, str]:
    return msgspec.json.decode(zlib.decompress(data), type=dict[str, str])


def instruction_of(name: str) -> str:
    """A step's name without where it stands."""
    return name.partition("] ")[2] or name


def named(steps: Sequence[PastStep], name: str, position: int) -> PastStep | None:
    """The step of another build that does the same; by its place, if none is called the same."""
    wanted = instruction_of(name)
    same = [step for step in steps if instruction_of(step.name) == wanted]
    if same:
        return same[0]
    return steps[position] if position < len(steps) else None
