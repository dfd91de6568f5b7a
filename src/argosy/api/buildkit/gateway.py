"""moby.buildkit.v1.frontend.LLBBridge: the client's own part of a build, in the way that buildx plays it."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from argosy.api.buildkit.connection import INVALID_ARGUMENT, Call, Handle, RpcError
from argosy.api.buildkit.control import received, refused_frontend
from argosy.api.buildkit.job import Job, Jobs
from argosy.api.buildkit.references import refused_definition
from argosy.spec import buildkit as messages
from argosy.wire import protobuf

T = TypeVar("T", bound=msgspec.Struct)
_PREFIX = "/moby.buildkit.v1.frontend.LLBBridge/"
_BUILD = "buildkit-controlapi-buildid"
_FRONTEND = "dockerfile.v0"
_FRONTEND_CAPABILITIES = (
    "frontend.caps", "frontend.inputs", "gateway.evaluate", "gateway.solve.evaluate",
    "gateway.solve.metadata", "proto.refarray", "reference.output", "return", "returnmap",
    "solve.base", "solve.inlinereturn",
)  # fmt: skip
_LLB_CAPABILITIES = ("exporter.image.attestations", "exporter.multiple")


class Gateway:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def methods(self) -> dict[str, Handle]:
        found: dict[str, Handle] = {
            "Ping": self._method(messages.Empty, _ping),
            "Solve": self._method(messages.GatewaySolveRequest, _solve),
            "Evaluate": self._method(messages.EvaluateRequest, _evaluate),
            "Return": self._method(messages.ReturnRequest, _return),
        }
        return {_PREFIX + name: handle for name, handle in found.items()}

    def _method(self, kind: type[T], method: Callable[[Job, T], msgspec.Struct]) -> Handle:
        def handle(call: Call) -> None:
            request = received(call, kind)
            identifier = next(iter(call.metadata.get(_BUILD, [])), "")
            if not identifier:
                raise RpcError(INVALID_ARGUMENT, "no buildid found in context")
            job = self._jobs.get(identifier)
            call.send(protobuf.encode(method(job, request)))

        return handle


def _ping(job: Job, _: messages.Empty) -> messages.Pong:
    return messages.Pong(
        [messages.Capability(name, True) for name in _FRONTEND_CAPABILITIES],
        [messages.Capability(name, True) for name in _LLB_CAPABILITIES],
    )


def _solve(job: Job, request: messages.GatewaySolveRequest) -> messages.GatewaySolveResponse:
    if request.definition:
        raise refused_definition()
    if request.frontend != _FRONTEND:
        raise refused_frontend(request.frontend)
    result = job.solve(request.frontend_options, request.inputs)
    if request.evaluate and result.ref is not None:
        job.evaluate(result.ref.id)
    return messages.GatewaySolveResponse(result)


def _evaluate(job: Job, request: messages.EvaluateRequest) -> messages.Empty:
    job.evaluate(request.ref)
    return messages.Empty()


def _return(job: Job, request: messages.ReturnRequest) -> messages.Empty:
    job.give(request)
    return messages.Empty()
