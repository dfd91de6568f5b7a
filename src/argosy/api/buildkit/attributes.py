"""What a client says in the attributes of the Dockerfile frontend, as what the builder takes. Pure.

The names are those of BuildKit's frontend/dockerui. Of what this engine cannot do, some changes the result:
that is refused, with a word on what to do. The rest is told as a warning, and the build goes on.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from argosy.build.arguments import MULTI_PLATFORM
from argosy.build.attest.asked import Asked, asked
from argosy.build.graph import Options
from argosy.errors import InvalidParameter, NotImplementedYet
from argosy.image.platforms import format_platform, host_platform, parse_platform

_ARGUMENT, _LABEL, _CONTEXT, _ATTEST = "build-arg:", "label:", "context:", "attest:"
_HOST = format_platform(host_platform())
# Contexts that are images, or become some.
_IMAGES = ("docker-image:", "oci-layout:", "input:")
_NETWORKS = {"": "default", "sandbox": "default", "host": "host", "none": "none"}
# What asks for nothing, or for what is so anyway.
_HARMLESS = (
    "frontend.caps",
    "source",
    "cmdline",
    "sharedkey:localdir:",
    "local-sessionid:",
    "input-metadata:",
    "vcs:",
)
_TAKEN = (
    "target", "filename", "no-cache", "add-hosts", "platform", "image-resolve-mode", "force-network-mode",
    "shm-size", "ulimit", "multi-platform", "context", "contextkey", "dockerfilekey", "contextsubdir",
    "requestid", "cache-from", "cache-imports", "cgroup-parent", "hostname",
)  # fmt: skip


class CacheImport(NamedTuple):
    """`name` is a reference, if it is at a registry."""

    name: str
    is_at_registry: bool


@dataclass(slots=True)
class Wanted:
    """`main` is the main context: a URL, or "" for the client's directory called `main_name`.

    `platforms` are several, or none but the options'.
    """

    options: Options
    filename: str = "Dockerfile"
    pull: bool = False
    main: str = ""
    main_name: str = "context"
    dockerfile_name: str = "dockerfile"
    dockerfile_is_local: bool = True
    contexts: dict[str, str] = field(default_factory=dict)
    cache_imports: Sequence[CacheImport] = ()
    subrequest: str = ""
    unknown: Sequence[str] = ()
    attest: Asked = field(default_factory=Asked)
    platforms: Sequence[str] = ()


class _Import(msgspec.Struct, rename="pascal"):
    type: str = ""
    attrs: dict[str, str] = {}


def wanted(given: Mapping[str, str]) -> Wanted:
    """Raises InvalidParameter, NotImplementedYet."""
    _refuse(given)
    platforms = _platforms(given.get("platform", ""))
    contexts = _contexts(given, platforms)
    build_args = _prefixed(given, _ARGUMENT)
    if given.get("multi-platform"):
        build_args[MULTI_PLATFORM] = given["multi-platform"]
    options = Options(
        build_args=build_args,
        labels=_prefixed(given, _LABEL),
        target=given.get("target", ""),
        platform=platforms[0],
        build_platform=_HOST,
        no_cache=given.get("no-cache") == "",
        no_cache_filter=_list(given.get("no-cache", "")),
        network=_network(given.get("force-network-mode", "")),
        hosts=[_host(text) for text in _list(given.get("add-hosts", ""))],
        shm_size=_number(given, "shm-size"),
        ulimits=_list(given.get("ulimit", "")),
        hostname=given.get("hostname", ""),
        contexts=[name for name, place in contexts.items() if not place.startswith(_IMAGES)],
    )
    main = given.get("context", "")
    return Wanted(
        options=options,
        filename=given.get("filename") or "Dockerfile",
        pull=given.get("image-resolve-mode") == "pull",
        main=main,
        main_name=given.get("contextkey") or "context",
        dockerfile_name=given.get("dockerfilekey") or "dockerfile",
        dockerfile_is_local=not main or "dockerfilekey" in given,
        contexts=contexts,
        cache_imports=_cache_imports(given),
        subrequest=given.get("requestid", ""),
        unknown=sorted(name for name in given if not _is_known(name)),
        attest=_attestations(given),
        platforms=platforms if len(platforms) > 1 else (),
    )


def _refuse(given: Mapping[str, str]) -> None:
    if given.get("cgroup-parent"):
        raise NotImplementedYet(
            "the steps of a build cannot be put into a control group of their own",
            hint="Leave --cgroup-parent away: they run in the engine's.",
        )
    if given.get("contextsubdir"):
        raise NotImplementedYet(
            "contextsubdir is not supported", hint="Name it in the URL: URL#ref:directory"
        )


def _attestations(given: Mapping[str, str]) -> Asked:
    types = {
        name.removeprefix(_ATTEST): dict(each.partition("=")[::2] for each in _list(value))
        for name, value in given.items()
        if name.startswith(_ATTEST)
    }
    return asked(types)


def _contexts(given: Mapping[str, str], platforms: Sequence[str]) -> dict[str, str]:
    """By name. One that is given for the platform alone wins."""
    found: dict[str, str] = {}
    for key in sorted(given):
        if key.startswith(_CONTEXT):
            name, _, only = key.removeprefix(_CONTEXT).partition("::")
            if not only:
                found.setdefault(name, given[key])
            elif [only] == platforms:
                found[name] = given[key]
    return found


def _platforms(text: str) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(format_platform(parse_platform(each)) for each in _list(text))) or [_HOST]


def _network(text: str) -> str:
    try:
        return _NETWORKS[text]
    except KeyError:
        raise InvalidParameter(f"invalid netmode {text}") from None


def _host(text: str) -> str:
    name, equals, address = text.partition("=")
    if not equals or not name or not address:
        raise InvalidParameter(f"invalid extra host {text!r}: it is no NAME=ADDRESS")
    return f"{name}:{address}"


def _number(given: Mapping[str, str], name: str) -> int:
    text = given.get(name) or "0"
    if not text.isdecimal():
        raise InvalidParameter(f"invalid {name}: {text!r} is no number")
    return int(text)


def _list(text: str) -> list[str]:
    return [each for each in next(csv.reader([text]), []) if each]


def _prefixed(given: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}


def _cache_imports(given: Mapping[str, str]) -> list[CacheImport]:
    """What `--cache-from` names."""
    found = [CacheImport(ref, is_at_registry=True) for ref in _list(given.get("cache-from", ""))]
    try:
        imports = msgspec.json.decode(given.get("cache-imports") or "[]", type=list[_Import])
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"invalid cache-imports: {error}") from None
    return found + [
        CacheImport(each.attrs.get("ref") or each.attrs.get("src") or each.type, each.type == "registry")
        for each in imports
    ]


def _is_known(name: str) -> bool:
    return name in _TAKEN or name.startswith((_ARGUMENT, _LABEL, _CONTEXT, _ATTEST, *_HARMLESS))
