"""Messages of BuildKit's protocol, as far as this engine speaks it; the number is the field's on the wire.

Named after moby/buildkit's protos: api/services/control, frontend/gateway, session/*, fsutil's wire.proto.
What is not declared here is not looked at.
"""

from typing import Annotated

import msgspec


class Empty(msgspec.Struct):
    pass


class Timestamp(msgspec.Struct):
    seconds: Annotated[int, 1] = 0
    nanoseconds: Annotated[int, 2] = 0


class ReadContentRequest(msgspec.Struct):
    digest: Annotated[str, 1] = ""
    offset: Annotated[int, 2] = 0
    size: Annotated[int, 3] = 0


class ReadContentResponse(msgspec.Struct):
    offset: Annotated[int, 1] = 0
    data: Annotated[bytes, 2] = b""


class BytesMessage(msgspec.Struct):
    data: Annotated[bytes, 1] = b""


class Any(msgspec.Struct):
    """google.protobuf.Any"""

    type_url: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""


class RpcStatus(msgspec.Struct):
    """google.rpc.Status"""

    code: Annotated[int, 1] = 0
    message: Annotated[str, 2] = ""
    details: Annotated[list[Any], 3] = []


# Workers


class Platform(msgspec.Struct):
    architecture: Annotated[str, 1] = ""
    os: Annotated[str, 2] = ""
    variant: Annotated[str, 3] = ""


class BuildkitVersion(msgspec.Struct):
    package: Annotated[str, 1] = ""
    version: Annotated[str, 2] = ""
    revision: Annotated[str, 3] = ""


class WorkerRecord(msgspec.Struct):
    id: Annotated[str, 1] = ""
    labels: Annotated[dict[str, str], 2] = {}
    platforms: Annotated[list[Platform], 3] = []
    version: Annotated[BuildkitVersion | None, 5] = None


class ListWorkersResponse(msgspec.Struct):
    record: Annotated[list[WorkerRecord], 1] = []


class InfoResponse(msgspec.Struct):
    version: Annotated[BuildkitVersion | None, 1] = None


# Solving


class GraphInput(msgspec.Struct):
    digest: Annotated[str, 1] = ""


class GraphSource(msgspec.Struct):
    identifier: Annotated[str, 1] = ""


class GraphOperation(msgspec.Struct):
    inputs: Annotated[list[GraphInput], 1] = []
    source: Annotated[GraphSource | None, 3] = None


class Definition(msgspec.Struct):
    """An LLB graph: encoded operations, the last of which is no more than an input: the graph's result."""

    operations: Annotated[list[bytes], 1] = []
    metadata: Annotated[dict[str, Empty], 2] = {}


class CacheEntry(msgspec.Struct):
    type: Annotated[str, 1] = ""
    attributes: Annotated[dict[str, str], 2] = {}


class CacheOptions(msgspec.Struct):
    exports: Annotated[list[CacheEntry], 4] = []
    imports: Annotated[list[CacheEntry], 5] = []


class Exporter(msgspec.Struct):
    type: Annotated[str, 1] = ""
    attributes: Annotated[dict[str, str], 2] = {}


class ControlSolveRequest(msgspec.Struct):
    """`definition` is an LLB graph, which this engine does not take."""

    ref: Annotated[str, 1] = ""
    definition: Annotated[bytes, 2] = b""
    exporter: Annotated[str, 3] = ""
    exporter_attributes: Annotated[dict[str, str], 4] = {}
    session: Annotated[str, 5] = ""
    frontend: Annotated[str, 6] = ""
    frontend_attributes: Annotated[dict[str, str], 7] = {}
    cache: Annotated[CacheOptions | None, 8] = None
    entitlements: Annotated[list[str], 9] = []
    inputs: Annotated[dict[str, Definition], 10] = {}
    internal: Annotated[bool, 11] = False
    source_policy: Annotated[bytes, 12] = b""
    exporters: Annotated[list[Exporter], 13] = []


class ControlSolveResponse(msgspec.Struct):
    exporter_response: Annotated[dict[str, str], 1] = {}


class StatusRequest(msgspec.Struct):
    ref: Annotated[str, 1] = ""


class Vertex(msgspec.Struct):
    digest: Annotated[str, 1] = ""
    inputs: Annotated[list[str], 2] = []
    name: Annotated[str, 3] = ""
    cached: Annotated[bool, 4] = False
    started: Annotated[Timestamp | None, 5] = None
    completed: Annotated[Timestamp | None, 6] = None
    error: Annotated[str, 7] = ""


class VertexStatus(msgspec.Struct):
    id: Annotated[str, 1] = ""
    vertex: Annotated[str, 2] = ""
    name: Annotated[str, 3] = ""
    current: Annotated[int, 4] = 0
    total: Annotated[int, 5] = 0
    timestamp: Annotated[Timestamp | None, 6] = None
    started: Annotated[Timestamp | None, 7] = None
    completed: Annotated[Timestamp | None, 8] = None


class VertexLog(msgspec.Struct):
    vertex: Annotated[str, 1] = ""
    timestamp: Annotated[Timestamp | None, 2] = None
    stream: Annotated[int, 3] = 0
    message: Annotated[bytes, 4] = b""


class SourceInfo(msgspec.Struct):
    filename: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    language: Annotated[str, 4] = ""


class Position(msgspec.Struct):
    line: Annotated[int, 1] = 0
    character: Annotated[int, 2] = 0


class Range(msgspec.Struct):
    start: Annotated[Position | None, 1] = None
    end: Annotated[Position | None, 2] = None


class VertexWarning(msgspec.Struct):
    vertex: Annotated[str, 1] = ""
    level: Annotated[int, 2] = 0
    short: Annotated[bytes, 3] = b""
    detail: Annotated[list[bytes], 4] = []
    url: Annotated[str, 5] = ""
    info: Annotated[SourceInfo | None, 6] = None
    ranges: Annotated[list[Range], 7] = []


class StatusResponse(msgspec.Struct):
    vertexes: Annotated[list[Vertex], 1] = []
    statuses: Annotated[list[VertexStatus], 2] = []
    logs: Annotated[list[VertexLog], 3] = []
    warnings: Annotated[list[VertexWarning], 4] = []


# The cache


class DiskUsageRequest(msgspec.Struct):
    filter: Annotated[list[str], 1] = []


class UsageRecord(msgspec.Struct):
    id: Annotated[str, 1] = ""
    mutable: Annotated[bool, 2] = False
    in_use: Annotated[bool, 3] = False
    size: Annotated[int, 4] = 0
    created: Annotated[Timestamp | None, 6] = None
    last_used: Annotated[Timestamp | None, 7] = None
    usage_count: Annotated[int, 8] = 0
    description: Annotated[str, 9] = ""
    record_type: Annotated[str, 10] = ""
    shared: Annotated[bool, 11] = False
    parents: Annotated[list[str], 12] = []


class DiskUsageResponse(msgspec.Struct):
    record: Annotated[list[UsageRecord], 1] = []


class PruneRequest(msgspec.Struct):
    """`keep_duration` in nanoseconds, the rest in bytes."""

    filter: Annotated[list[str], 1] = []
    all: Annotated[bool, 2] = False
    keep_duration: Annotated[int, 3] = 0
    reserved_space: Annotated[int, 4] = 0
    max_used_space: Annotated[int, 5] = 0
    min_free_space: Annotated[int, 6] = 0


# Past builds


class BuildHistoryRequest(msgspec.Struct):
    active_only: Annotated[bool, 1] = False
    ref: Annotated[str, 2] = ""
    early_exit: Annotated[bool, 3] = False
    filter: Annotated[list[str], 4] = []
    limit: Annotated[int, 5] = 0


class BuildHistoryRecord(msgspec.Struct):
    ref: Annotated[str, 1] = ""
    frontend: Annotated[str, 2] = ""
    frontend_attributes: Annotated[dict[str, str], 3] = {}
    exporters: Annotated[list[Exporter], 4] = []
    error: Annotated[RpcStatus | None, 5] = None
    created: Annotated[Timestamp | None, 6] = None
    completed: Annotated[Timestamp | None, 7] = None
    exporter_response: Annotated[dict[str, str], 9] = {}
    pinned: Annotated[bool, 14] = False
    cached_steps: Annotated[int, 15] = 0
    total_steps: Annotated[int, 16] = 0
    completed_steps: Annotated[int, 17] = 0
    warnings: Annotated[int, 19] = 0


class BuildHistoryEvent(msgspec.Struct):
    type: Annotated[int, 1] = 0
    record: Annotated[BuildHistoryRecord | None, 2] = None


class UpdateBuildHistoryRequest(msgspec.Struct):
    ref: Annotated[str, 1] = ""
    pinned: Annotated[bool, 2] = False
    delete: Annotated[bool, 3] = False
    finalize: Annotated[bool, 4] = False


# The gateway


class Capability(msgspec.Struct):
    id: Annotated[str, 1] = ""
    enabled: Annotated[bool, 2] = False
    disabled_reason: Annotated[str, 5] = ""


class Pong(msgspec.Struct):
    frontend_capabilities: Annotated[list[Capability], 1] = []
    llb_capabilities: Annotated[list[Capability], 2] = []
    workers: Annotated[list[WorkerRecord], 3] = []


class Ref(msgspec.Struct):
    id: Annotated[str, 1] = ""
    definition: Annotated[Definition | None, 2] = None


class GatewayResult(msgspec.Struct):
    ref: Annotated[Ref | None, 3] = None
    metadata: Annotated[dict[str, bytes], 10] = {}


class GatewaySolveRequest(msgspec.Struct):
    definition: Annotated[bytes, 1] = b""
    frontend: Annotated[str, 2] = ""
    frontend_options: Annotated[dict[str, str], 3] = {}
    inputs: Annotated[dict[str, Definition], 13] = {}
    evaluate: Annotated[bool, 14] = False


class GatewaySolveResponse(msgspec.Struct):
    result: Annotated[GatewayResult | None, 3] = None


class EvaluateRequest(msgspec.Struct):
    ref: Annotated[str, 1] = ""


class ReturnRequest(msgspec.Struct):
    result: Annotated[GatewayResult | None, 1] = None
    error: Annotated[RpcStatus | None, 2] = None


# The client's session: files

STAT, REQUEST, DATA, FINISH, ERROR = range(5)


class Stat(msgspec.Struct):
    """`mode` is Go's os.FileMode, `modified` in Unix nanoseconds."""

    path: Annotated[str, 1] = ""
    mode: Annotated[int, 2] = 0
    uid: Annotated[int, 3] = 0
    gid: Annotated[int, 4] = 0
    size: Annotated[int, 5] = 0
    modified: Annotated[int, 6] = 0
    link_name: Annotated[str, 7] = ""
    device_major: Annotated[int, 8] = 0
    device_minor: Annotated[int, 9] = 0
    attributes: Annotated[dict[str, bytes], 10] = {}


class Packet(msgspec.Struct):
    type: Annotated[int, 1] = 0
    stat: Annotated[Stat | None, 2] = None
    id: Annotated[int, 3] = 0
    data: Annotated[bytes, 4] = b""


# The client's session: secrets, agents, credentials


class GetSecretRequest(msgspec.Struct):
    id: Annotated[str, 1] = ""


class GetSecretResponse(msgspec.Struct):
    data: Annotated[bytes, 1] = b""


class CheckAgentRequest(msgspec.Struct):
    id: Annotated[str, 1] = ""


class CredentialsRequest(msgspec.Struct):
    host: Annotated[str, 1] = ""


class CredentialsResponse(msgspec.Struct):
    username: Annotated[str, 1] = ""
    secret: Annotated[str, 2] = ""


# Health


class HealthCheckResponse(msgspec.Struct):
    status: Annotated[int, 1] = 0
