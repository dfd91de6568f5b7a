"""Build arguments: where their values come from.

predefined      BUILDPLATFORM, TARGETARCH and their kin; --build-arg may replace them
global          ARGs before the first FROM: for FROM itself, and for a stage that declares them again
of a stage      ARG in it: --build-arg, else its default, else the global value
"""

from collections.abc import Iterable, Mapping

from argosy.build.complain import DockerfileError
from argosy.build.flags import boolean
from argosy.build.instructions import Arg, Definition
from argosy.build.words import Variables

# Given to RUN when --build-arg names them, though no ARG does; not in the image's history or cache keys.
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
# Settings of the builder that an ARG may carry and a RUN must not see.
NOT_IN_ENVIRONMENT = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")


# Settings of the builder that come as arguments, beside SOURCE_DATE_EPOCH.
HOSTNAME, CACHE_NAMESPACE = "BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS"
KEEP_GIT, INLINE_CACHE = "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_INLINE_CACHE"
MULTI_PLATFORM = "BUILDKIT_MULTI_PLATFORM"


def is_on(given: Mapping[str, str], setting: str) -> bool:
    return boolean(given.get(setting, "")) is True


def predefined(
    build: str, target: str, stage: str = "", given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """For platforms like `linux/arm/v7`; `stage` is the target stage's name, if it has one."""
    values = {**_platform("BUILD", build), **_platform("TARGET", target), "TARGETSTAGE": stage or "default"}
    return {name: (given or {}).get(name, value) for name, value in values.items()}


def global_values(
    arguments: Iterable[Arg], base: Mapping[str, str], given: Mapping[str, str], escape: str = "\\"
) -> dict[str, str]:
    """Those before the first FROM, each seeing the ones before it. Raises DockerfileError."""
    values = dict(base)
    for argument in arguments:
        for definition in argument.definitions:
            value = given.get(definition.name)
            if value is None:
                value = argument.default_in(Variables(values, escape), definition)
            if value is not None:
                values[definition.name] = value
    return values


def stage_value(
    argument: Arg,
    definition: Definition,
    given: Mapping[str, str],
    global_values: Mapping[str, str],
    variables: Variables,
) -> str | None:
    """None if it is declared and has no value. Raises DockerfileError."""
    if definition.name in given:
        return given[definition.name]
    if definition.default is not None:
        return argument.default_in(variables, definition)
    return global_values.get(definition.name)


def _platform(prefix: str, platform: str) -> dict[str, str]:
    parts = platform.split("/")
    if not 2 <= len(parts) <= 3:
        raise DockerfileError(f"{platform} is no platform of the form os/architecture[/variant]")
    system, architecture, variant = (*parts, "")[:3]
    return {
        f"{prefix}PLATFORM": platform,
        f"{prefix}OS": system,
        f"{prefix}OSVERSION": "",
        f"{prefix}ARCH": architecture,
        f"{prefix}VARIANT": variant,
    }
