"""SLSA provenance of a build (slsa.dev/provenance, v0.2 and v1), with BuildKit's names. Pure.

min   what it was made from, with which frontend, when, out of which repository
max   also the build's arguments, its steps, its Dockerfile, and the names of its secrets
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from argosy.build.attest.asked import Asked
from argosy.build.attest.statement import Predicate, digest_set
from argosy.units import rfc3339

_FILE = "provenance.json"
_TYPES = {"v0.2": "https://slsa.dev/provenance/v0.2", "v1": "https://slsa.dev/provenance/v1"}
_BUILDKIT = "https://mobyproject.org/buildkit@v1"
_BUILD_TYPE = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
_FRONTEND = "dockerfile.v0"
# Arguments that are told only where all is.
_PRIVATE = ("build-arg:", "label:")
_VCS = "vcs:"
# A RUN may have fetched anything, and a directory of the client's has no digest.
_IS_HERMETIC = False


@dataclass(frozen=True, slots=True)
class Material:
    """`digest` as in `sha256:…`; a git commit's is `sha1:…`. `reference` is an image's."""

    uri: str
    digest: str
    reference: str = ""


@dataclass(slots=True)
class Facts:
    """What is known of a build. `arguments` are the frontend's; `source` is the context, if that came from a
    URL. Times in Unix nanoseconds, 0 for none: with SOURCE_DATE_EPOCH, the same input says the same."""

    invocation: str
    dockerfile: str
    platform: str
    builder_platform: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    locals: Sequence[str] = ()
    secrets: Sequence[str] = ()
    ssh: Sequence[str] = ()
    materials: Sequence[Material] = ()
    source: Material | None = None
    started: int = 0
    finished: int = 0
    steps: Sequence[Mapping[str, object]] = ()
    layers: Mapping[str, object] = field(default_factory=dict)
    definition: Mapping[str, object] = field(default_factory=dict)


def provenance(asked: Asked, facts: Facts) -> Predicate:
    make = _version_1 if asked.version == "v1" else _version_0
    return Predicate(_FILE, _TYPES[asked.version], make(asked, facts))


def _version_0(asked: Asked, facts: Facts) -> dict[str, Any]:
    told, is_complete = _parameters(asked, facts)
    document: dict[str, Any] = {
        "builder": {"id": asked.builder},
        "buildType": _BUILDKIT,
        "materials": _materials(facts),
        "invocation": {
            "configSource": _source(facts, "entryPoint"),
            "parameters": told,
            "environment": {"platform": facts.builder_platform},
        },
        "metadata": {
            "buildInvocationID": facts.invocation,
            **_times(facts, "buildStartedOn", "buildFinishedOn"),
            "completeness": {
                "parameters": is_complete,
                "environment": True,
                "materials": _IS_HERMETIC,
            },
            "reproducible": asked.reproducible,
            f"{_BUILDKIT}#hermetic": _IS_HERMETIC,
            f"{_BUILDKIT}#metadata": _metadata(asked, facts),
        },
    }
    if asked.is_full:
        document["buildConfig"] = {"llbDefinition": list(facts.steps)}
    return document


def _version_1(asked: Asked, facts: Facts) -> dict[str, Any]:
    told, is_complete = _parameters(asked, facts)
    internal: dict[str, Any] = {"builderPlatform": facts.builder_platform}
    if asked.is_full:
        internal["buildConfig"] = {"llbDefinition": list(facts.steps)}
    return {
        "buildDefinition": {
            "buildType": _BUILD_TYPE,
            "externalParameters": {"configSource": _source(facts, "path"), "request": told},
            "internalParameters": internal,
            "resolvedDependencies": _materials(facts),
        },
        "runDetails": {
            "builder": {"id": asked.builder},
            "metadata": {
                "invocationID": facts.invocation,
                **_times(facts, "startedOn", "finishedOn"),
                "buildkit_metadata": _metadata(asked, facts),
                "buildkit_hermetic": _IS_HERMETIC,
                "buildkit_completeness": {
                    "request": is_complete,
                    "resolvedDependencies": _IS_HERMETIC,
                },
                "buildkit_reproducible": asked.reproducible,
            },
        },
    }


def _parameters(asked: Asked, facts: Facts) -> tuple[dict[str, Any], bool]:
    """What was asked of the frontend, and whether that is all."""
    public = {name: value for name, value in facts.arguments.items() if not name.startswith(_VCS)}
    told = {name: value for name, value in public.items() if asked.is_full or not name.startswith(_PRIVATE)}
    parameters: dict[str, Any] = {
        "frontend": _FRONTEND,
        "args": told,
        "locals": [{"name": name} for name in facts.locals],
    }
    if asked.is_full:
        parameters["secrets"] = [{"id": name} for name in facts.secrets]
        parameters["ssh"] = [{"id": name} for name in facts.ssh]
    return parameters, asked.is_full or (told == public and not facts.secrets and not facts.ssh)


def _materials(facts: Facts) -> list[dict[str, Any]]:
    return [{"uri": each.uri, "digest": digest_set(each.digest)} for each in facts.materials]


def _source(facts: Facts, entry: str) -> dict[str, Any]:
    found: dict[str, Any] = {entry: facts.dockerfile}
    if facts.source is not None:
        found |= {"uri": facts.source.uri, "digest": digest_set(facts.source.digest)}
    return found


def _times(facts: Facts, started: str, finished: str) -> dict[str, str]:
    if not facts.started:
        return {}
    return {started: rfc3339(facts.started), finished: rfc3339(facts.finished)}


def _metadata(asked: Asked, facts: Facts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    vcs = {name.removeprefix(_VCS): value for name, value in facts.arguments.items() if name.startswith(_VCS)}
    if vcs:
        found["vcs"] = vcs
    if asked.is_full:
        found |= {"source": facts.definition, "layers": facts.layers}
    return found
