"""A build's steps as provenance tells them with mode=max: in the shape of BuildKit's operations, whose names
readers of provenance know. Pure.

No value of a secret is in a vertex, and none can come from here.
"""

import base64
from collections.abc import Mapping, Sequence

from argosy.build.vertex import CopyVertex, ImageVertex, RunVertex, Vertex, WorkdirVertex

Document = dict[str, object]
_LANGUAGE = "Dockerfile"


class Definition:
    """`identifiers` name the images of a base by their references; `outputs` are each vertex's layers."""

    def __init__(
        self,
        vertices: Sequence[Vertex],
        identifiers: Mapping[str, str],
        outputs: Mapping[int, Sequence[Document]],
    ) -> None:
        self._vertices = vertices
        self._identifiers = identifiers
        self._outputs = outputs
        self._ids = {id(vertex): f"step{number}" for number, vertex in enumerate(vertices)}

    def steps(self) -> list[Document]:
        return [
            {
                "id": self._ids[id(vertex)],
                "op": {"Op": self._operation(vertex)},
                "inputs": self._inputs(vertex),
            }
            for vertex in self._vertices
        ]

    def layers(self) -> Document:
        return {
            f"{self._ids[id(vertex)]}:0": [found]
            for vertex in self._vertices
            if (found := self._outputs.get(id(vertex)))
        }

    def source(self, name: str, text: bytes) -> Document:
        """The Dockerfile, and where in it each step stands."""
        locations = {
            self._ids[id(vertex)]: {"locations": [{"ranges": [_range(vertex)]}]}
            for vertex in self._vertices
            if vertex.lines is not None
        }
        data = base64.b64encode(text).decode()
        return {
            "locations": locations,
            "infos": [{"filename": name, "language": _LANGUAGE, "data": data}],
        }

    def _inputs(self, vertex: Vertex) -> list[str]:
        found = [each for each in (vertex.base, *vertex.inputs()) if each is not None]
        return [f"{self._ids[id(each)]}:0" for each in found if id(each) in self._ids]

    def _operation(self, vertex: Vertex) -> Document:
        match vertex:
            case ImageVertex():
                reference = self._identifiers.get(vertex.reference, vertex.reference)
                return {"source": {"identifier": f"docker-image://{reference}"}}
            case RunVertex():
                return {"exec": _exec(vertex)}
            case CopyVertex():
                return {"file": {"actions": [{"Action": {"copy": _copy(vertex)}}]}}
            case WorkdirVertex():
                made = {"path": vertex.path, "mode": 0o755, "makeParents": True}
                return {"file": {"actions": [{"Action": {"mkdir": made}}]}}
            case _:
                raise AssertionError(vertex)


def _exec(vertex: RunVertex) -> Document:
    script = [vertex.script.content] if vertex.script is not None else []
    meta = {
        "args": [*vertex.arguments, *script],
        "env": list(vertex.environment),
        "cwd": vertex.workdir,
        "user": vertex.user,
    }
    mounts = [
        {"dest": each.target, "mountType": each.mount.type, "selector": each.mount.source}
        for each in vertex.attachments
    ]
    return {"meta": meta, "mounts": mounts, "network": vertex.network, "security": vertex.security}


def _copy(vertex: CopyVertex) -> Document:
    return {
        "src": [*vertex.sources, *vertex.remotes, *(each.name for each in vertex.inline)],
        "dest": vertex.destination,
        "context": vertex.origin.context,
        "owner": vertex.chown,
        "mode": vertex.chmod,
    }


def _range(vertex: Vertex) -> Document:
    assert vertex.lines is not None
    return {"start": {"line": vertex.lines.first}, "end": {"line": vertex.lines.last}}
