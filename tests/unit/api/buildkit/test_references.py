import pytest

from argosy.api.buildkit.references import definition, reference
from argosy.errors import NotImplementedYet
from argosy.image import digest as digests
from argosy.spec.buildkit import Definition, GraphOperation, GraphSource
from argosy.wire import protobuf


def test_a_result_is_known_again_by_its_graph() -> None:
    sent = protobuf.encode(definition("abc"))
    assert reference(protobuf.decode(Definition, sent)) == "abc"


def test_the_graph_is_one_that_clients_can_read() -> None:
    graph = definition("abc")
    last = protobuf.decode(GraphOperation, graph.operations[-1])
    (result,) = last.inputs
    assert result.digest == digests.of_bytes(graph.operations[0])
    assert list(graph.metadata) == [result.digest]


def test_another_graph_is_refused() -> None:
    operation = protobuf.encode(GraphOperation(source=GraphSource("docker-image://x")))
    with pytest.raises(NotImplementedYet):
        reference(Definition([operation]))
