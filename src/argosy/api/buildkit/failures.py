"""What went wrong, as BuildKit's clients understand it: with the Dockerfile's lines and the step."""

import base64
from typing import Any

import msgspec

from argosy.api.buildkit.connection import CANCELLED, UNKNOWN, RpcError
from argosy.build.builder import Build
from argosy.build.complain import DockerfileError
from argosy.build.run import StepFailed
from argosy.build.solver import Failure
from argosy.build.tools import Cancelled
from argosy.errors import ArgosyError
from argosy.spec.buildkit import Any as AnyMessage
from argosy.spec.buildkit import RpcStatus
from argosy.wire import protobuf

_PACKAGE = "github.com/moby/buildkit"


def as_rpc_error(error: ArgosyError, build: Build | None, vertex: str = "") -> RpcError:
    """`vertex` is the digest of the step that failed."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, Cancelled):
        return RpcError(CANCELLED, "context canceled")
    details: list[AnyMessage] = []
    first = last = 0
    cause = error
    if isinstance(error, Failure):
        cause = error.cause
        if error.vertex.lines is not None:
            first, last = error.vertex.lines.first, error.vertex.lines.last
    if isinstance(cause, DockerfileError) and cause.first_line:
        first, last = cause.first_line, cause.last_line
    if first and build is not None:
        details.append(_source(build, first, last))
    if vertex:
        details.append(_any("errdefs.Vertex", {"digest": vertex}))
    if isinstance(cause, StepFailed):
        details.append(_any("gatewayapi.ExitMessage", {"Code": cause.exit_code}))
    status = RpcStatus(UNKNOWN, str(cause), details)
    return RpcError(status.code, status.message, protobuf.encode(status))


def _source(build: Build, first: int, last: int) -> AnyMessage:
    info = {
        "filename": build.request.name,
        "data": base64.b64encode(build.request.dockerfile).decode(),
        "language": "Dockerfile",
    }
    return _any(
        "errdefs.Source", {"info": info, "ranges": [{"start": {"line": first}, "end": {"line": last}}]}
    )


def _any(name: str, value: dict[str, Any]) -> AnyMessage:
    return AnyMessage(f"{_PACKAGE}/{name}+json", msgspec.json.encode(value))
