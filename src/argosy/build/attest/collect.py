"""From a build that has run to what it attests."""

import hashlib
import time
from collections.abc import Iterator, Mapping

from argosy.build.attest.definition import Definition
from argosy.build.attest.provenance import Facts, Material, provenance
from argosy.build.attest.sbom import sbom
from argosy.build.attest.statement import Predicate
from argosy.build.builder import Build
from argosy.build.git import is_git
from argosy.build.progress import Warned
from argosy.build.remote import without_password
from argosy.build.solver import Outcome
from argosy.build.vertex import Attachment, CopyVertex, RunVertex
from argosy.spec.oci_image import OCI_LAYER

# What is of this machine or of this connection, and no part of what was asked for.
_NOT_TOLD = (
    "attest:", "cgroup-parent", "image-resolve-mode", "platform", "cache-imports", "cache-from",
    "local-sessionid:", "sharedkey:", "frontend.caps", "requestid",
)  # fmt: skip


def predicates(build: Build, outcome: Outcome) -> list[Predicate]:
    """While the build's layers are certain to stay."""
    asked, found = build.request.attest, []
    if asked.sbom:
        found.append(_sbom(build, outcome))
    if asked.provenance:
        found.append(provenance(asked, _facts(build, outcome, is_full=asked.is_full)))
    return found


def _sbom(build: Build, outcome: Outcome) -> Predicate:
    assert build.graph is not None
    epoch = build.epoch
    with build.progress.begin("generating sbom"), build.view(outcome) as view:
        document, left_out = sbom(
            view.descriptor,
            outcome.diff_ids,
            build.graph.target.platform,
            epoch if epoch is not None else time.time_ns(),
        )
    if left_out:
        build.progress.warn(Warned(f"The SBOM lists no RPM packages: the database /{left_out} is not read"))
    return document


def _facts(build: Build, outcome: Outcome, *, is_full: bool) -> Facts:
    request, graph = build.request, build.graph
    assert graph is not None
    told = _told(request.arguments)
    main = request.contexts.get("")
    is_remote = main is not None and bool(main.url)
    facts = Facts(
        invocation=build.past.id,
        dockerfile=request.name,
        platform=graph.target.platform,
        builder_platform=request.options.build_platform,
        arguments=told,
        locals=[] if is_remote else ["context", "dockerfile"],
        secrets=sorted({each.mount.secret_id for each in _mounts(build, "secret")}),
        ssh=sorted({each.mount.ssh_id for each in _mounts(build, "ssh")}),
        materials=_materials(build),
        source=Material(without_password(main.url), main.digest) if main is not None and main.url else None,
        started=build.past.started,
        finished=time.time_ns(),
    )
    if build.epoch is not None:
        parts = (request.dockerfile, repr(sorted(told.items())).encode(), repr(outcome.diff_ids).encode())
        facts.invocation = hashlib.sha256(b"\0".join(parts)).hexdigest()[:25]
        facts.started = facts.finished = 0
    if is_full:
        definition = _definition(build)
        facts.steps = definition.steps()
        facts.layers = definition.layers()
        facts.definition = definition.source(request.name, request.dockerfile)
    return facts


def _told(arguments: Mapping[str, str]) -> dict[str, str]:
    return {
        name: without_password(value) if name.startswith("context") else value
        for name, value in sorted(arguments.items())
        if not name.startswith(_NOT_TOLD)
    }


def _mounts(build: Build, kind: str) -> Iterator[Attachment]:
    assert build.graph is not None
    for vertex in build.graph.vertices:
        if isinstance(vertex, RunVertex):
            yield from (each for each in vertex.attachments if each.mount.type == kind)


def _materials(build: Build) -> list[Material]:
    assert build.graph is not None and build.solver is not None and build.bases is not None
    found = dict.fromkeys(build.bases.materials.values())
    for context in build.request.contexts.values():
        if context.url:
            found[Material(without_password(context.url), context.digest)] = None
    for vertex in build.graph.vertices:
        outcome = build.solver.outcome(vertex)
        if isinstance(vertex, CopyVertex) and vertex.remotes and outcome is not None:
            digests = outcome.parts.get("fetched", "").split(",")
            for url, digest in zip(vertex.remotes, digests, strict=True):
                commit = digest.removesuffix("+git")
                digest = f"sha1:{commit}" if is_git(url) else digest
                found[Material(without_password(url), digest)] = None
    return sorted(found, key=lambda each: each.uri)


def _definition(build: Build) -> Definition:
    assert build.graph is not None and build.solver is not None and build.bases is not None
    outputs: dict[int, list[dict[str, object]]] = {}
    for vertex in build.graph.vertices:
        outcome = build.solver.outcome(vertex)
        if outcome is not None:
            outputs[id(vertex)] = [
                {"mediaType": OCI_LAYER, "digest": each, "size": build.layer_size(each)}
                for each in outcome.diff_ids
            ]
    names = {image: each.reference for image, each in build.bases.materials.items()}
    return Definition(build.graph.vertices, names, outputs)
