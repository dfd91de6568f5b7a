"""The vertices of a build: every step that makes or changes a file system, and what it stands on.

A vertex says what is to be done, never with what result. Its `definition` is a digest of all that it says
itself, inputs not included: two vertices with equal definitions on equal inputs have the same result.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import msgspec

from argosy.build.instructions import Inline, Lines
from argosy.build.mounts import Mount


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Vertex:
    """`label` is what the progress display calls it. `base` is what its layer is put on, None for nothing."""

    label: str
    stage: str
    lines: Lines | None = None
    base: "Vertex | None" = None
    no_cache: bool = False

    @property
    def definition(self) -> str:
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_PART}
        document = [type(self).__name__, *sorted((name, _plain(value)) for name, value in own.items())]
        return hashlib.sha256(msgspec.json.encode(document)).hexdigest()

    def inputs(self) -> "Sequence[Vertex]":
        """The vertices that it needs beside its base."""
        return ()


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ImageVertex(Vertex):
    """The layers of an image, by their diff IDs; none for `scratch`."""

    reference: str
    diff_ids: tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Origin:
    """Where files come from: another vertex's file system, or a context by its name."""

    vertex: Vertex | None = None
    context: str = ""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class WorkdirVertex(Vertex):
    """`user` is who owns what it makes."""

    path: str
    user: str = ""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CopyVertex(Vertex):
    """COPY and ADD. `linked`: the layer is made without a look at the base."""

    origin: Origin
    sources: tuple[str, ...]
    inline: tuple[Inline, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    linked: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    is_add: bool = False
    remotes: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None
    latest: int | None = None

    def inputs(self) -> Sequence[Vertex]:
        return () if self.origin.vertex is None else (self.origin.vertex,)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Attachment:
    """A mount of a RUN: `mount` as it was asked for, `target` where it goes."""

    mount: Mount
    target: str
    origin: Origin | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class RunVertex(Vertex):
    arguments: tuple[str, ...]
    script: Inline | None = None
    environment: tuple[str, ...] = ()
    # What the command sees and the cache does not: proxies.
    hidden_environment: tuple[str, ...] = ()
    workdir: str = "/"
    user: str = ""
    attachments: tuple[Attachment, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    hosts: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: tuple[str, ...] = ()
    platform: str = ""
    hostname: str = ""

    def inputs(self) -> Sequence[Vertex]:
        found = (each.origin.vertex for each in self.attachments if each.origin is not None)
        return [vertex for vertex in found if vertex is not None]


# Of no consequence for the result, or told by the inputs.
_NO_PART = ("label", "stage", "lines", "base", "hidden_environment", "no_cache", "reference")


def _plain(value: object) -> object:
    if isinstance(value, Origin):
        return ["context", value.context] if value.vertex is None else "vertex"
    if isinstance(value, Attachment):
        return [_plain(getattr(value, f.name)) for f in fields(value)]
    if isinstance(value, Mount):
        return [getattr(value, f.name) for f in fields(value)]
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
