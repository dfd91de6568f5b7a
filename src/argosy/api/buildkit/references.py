"""Results of builds as something that a client passes on: bake's `target:` contexts.

A client knows a result as an LLB graph. Ours is one of a single operation, whose source is the reference
that we gave to the result: what comes back is no graph to solve, but a name to look up.
"""

from argosy.errors import NotImplementedYet
from argosy.image import digest as digests
from argosy.spec.buildkit import Definition, Empty, GraphInput, GraphOperation, GraphSource
from argosy.wire import protobuf

_SCHEME = "argosy-result://"


def definition(reference: str) -> Definition:
    operation = protobuf.encode(GraphOperation(source=GraphSource(_SCHEME + reference)))
    digest = digests.of_bytes(operation)
    result = protobuf.encode(GraphOperation([GraphInput(digest)]))
    return Definition([operation, result], {digest: Empty()})


def reference(graph: Definition) -> str:
    """What `definition` was given. Raises NotImplementedYet for any other graph."""
    for data in graph.operations:
        operation = protobuf.decode(GraphOperation, data)
        if operation.source is not None and operation.source.identifier.startswith(_SCHEME):
            return operation.source.identifier.removeprefix(_SCHEME)
    raise refused_definition()


def refused_definition() -> NotImplementedYet:
    return NotImplementedYet(
        "this engine builds from Dockerfiles, not from LLB graphs",
        hint="Give a Dockerfile, and contexts that are directories, images, URLs or git repositories.",
    )
