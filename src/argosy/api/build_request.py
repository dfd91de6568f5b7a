"""What a request for a build says, in Docker's words and in ours, as a `build.Request`."""

import base64
import binascii
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from argosy.api.http import Request as HTTPRequest
from argosy.build import entitlements
from argosy.build.arguments import INLINE_CACHE, KEEP_GIT, is_on
from argosy.build.attest.asked import asked
from argosy.build.builder import Request
from argosy.build.contexts import Context
from argosy.build.graph import Options
from argosy.build.intake import DOCKERFILE, Intake, ignored, read_dockerfile, read_ignore
from argosy.build.layout import Layout, local_layout
from argosy.build.release import several_stay_nowhere
from argosy.errors import InvalidParameter
from argosy.image import Credentials, parse_reference
from argosy.image.decompress import Prefixed
from argosy.image.platforms import format_platform, host_platform, parse_platform
from argosy.image.reference import Reference
from argosy.image.tar import Source, is_header
from argosy.spec.docker_container import Ulimit

REGISTRY_CONFIG = "x-registry-config"
_HUB_KEY = "https://index.docker.io/v1/"
_HUB = "docker.io"
_IMAGE = "docker-image://"
# Outputs that are no image.
TREES = ("local", "tar")
_HEAD = 512
_HOST = format_platform(host_platform())
# What the limits of classic builds were for: steps run with the engine's defaults.
_NOT_TAKEN = ("memory", "memswap", "cpushares", "cpusetcpus", "cpusetmems", "cpuperiod", "cpuquota")


class NotHere(InvalidParameter):
    """The directory is not one of this machine: its contents have to be sent."""

    status = 412


class Place(msgspec.Struct, rename="camel", frozen=True):
    """A context: a `path` of this machine, whose identity shows that it is the same; a `url`; what a client
    offers in a `session`, known again by its `key`; or `sent`, as a tar that follows the document."""

    path: str = ""
    device: int = 0
    inode: int = 0
    url: str = ""
    session: str = ""
    key: str = ""
    sent: bool = False


class Output(msgspec.Struct, rename="camel"):
    """`type`: image, local, tar, oci or docker. Whatever is no image is sent to the client."""

    type: str
    attributes: dict[str, str] = {}


class LayoutPlace(msgspec.Struct, rename="camel"):
    """An image in an OCI layout: `reference` is its digest or its tag."""

    place: Place
    reference: str = ""


class CacheSource(msgspec.Struct, rename="camel"):
    """At a registry under the name `reference`, or an OCI layout in the directory `place`."""

    reference: str = ""
    place: Place = Place()


class CacheTarget(msgspec.Struct, rename="camel"):
    """To a registry under the name `reference`, or without one to the client. `mode`: min or max."""

    reference: str = ""
    mode: str = "min"


class Document(msgspec.Struct, rename="camel"):
    """What `argosy build` sends. Values of secrets are in base64; `platform` may be several, with commas."""

    dockerfile: str | None = None
    filename: str = DOCKERFILE
    ignore: str | None = None
    contexts: dict[str, Place] = {}
    images: dict[str, str] = {}
    layouts: dict[str, LayoutPlace] = {}
    build_args: dict[str, str] = {}
    labels: dict[str, str] = {}
    target: str = ""
    platform: str = ""
    attest: dict[str, dict[str, str]] = {}
    tags: list[str] = []
    no_cache: bool = False
    no_cache_filter: list[str] = []
    pull: bool = False
    network: str = ""
    hosts: list[str] = []
    shm_size: int = 0
    ulimits: list[str] = []
    allow: list[str] = []
    secrets: dict[str, str] = {}
    ssh: dict[str, str] = {}
    auth: dict[str, dict[str, str]] = {}
    outputs: list[Output] = []
    push: bool = False
    check: bool = False
    explain: bool = False
    debug: bool = False
    cache_from: list[CacheSource] = []
    cache_to: list[CacheTarget] = []
    inline_cache: bool = False


@dataclass(slots=True)
class Wanted:
    """A build and what becomes of it. `platforms` are several, or none but the request's."""

    request: Request
    platforms: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    caches: list[CacheTarget] = field(default_factory=list)
    push: bool = False
    explain: bool = False
    quiet: bool = False


# A session, a context's name and its key → the directory that a client offers.
Offered = Callable[[str, str, str], Context]


def from_document(document: Document, body: Source, intake: Intake, offered: Offered) -> Wanted:
    """`body` is what follows the document. Raises NotHere, InvalidParameter, and what `Intake` raises."""
    _check_tags(document.tags)
    platforms = _platforms(document)
    several = len(platforms) > 1
    contexts: dict[str, Context] = {}
    try:
        for name, place in document.contexts.items():
            contexts[name] = _context(
                name, place, body, intake, offered, keep_git=not name and is_on(document.build_args, KEEP_GIT)
            )
        dockerfile, main = document.dockerfile, contexts.get("")
        if dockerfile is None:
            if main is None:
                raise InvalidParameter("there is neither a Dockerfile nor a context to find one in")
            text = read_dockerfile(main, document.filename)
        else:
            text = dockerfile.encode(errors="surrogateescape")
        if main is not None:
            if document.ignore is not None:
                main.ignore = ignored(document.ignore)
            elif dockerfile is None:
                main.ignore = read_ignore(main, document.filename)
        secrets = {name: _decoded(value) for name, value in document.secrets.items()}
        request = Request(
            text,
            document.filename,
            contexts,
            {name: value.removeprefix(_IMAGE) for name, value in document.images.items()},
            Options(
                build_args=document.build_args,
                target=document.target,
                platform=platforms[0],
                build_platform=_HOST,
                labels=document.labels,
                no_cache=document.no_cache,
                no_cache_filter=document.no_cache_filter,
                network=document.network or "default",
                hosts=document.hosts,
                shm_size=document.shm_size,
                ulimits=document.ulimits,
                contexts=[name for name in contexts if name],
            ),
            document.tags if _is_kept(document.outputs) and not several else [],
            document.pull,
            secrets.get,
            document.ssh.get,
            _credentials(document.auth),
            store=not document.outputs or any(o.type not in TREES for o in document.outputs),
            keep=_is_kept(document.outputs) and not several,
            check=document.check,
            debug=document.debug,
            imports=[_cache_source(each) for each in document.cache_from],
            inline_cache=document.inline_cache or is_on(document.build_args, INLINE_CACHE),
            layouts={name: _layout(name, each) for name, each in document.layouts.items()},
            attest=asked(document.attest),
            arguments=_arguments_of(document),
            entitlements=entitlements.parse(document.allow),
        )
    except BaseException:
        for context in contexts.values():
            context.close()
        raise
    here = document.contexts.get("")
    shown = (here.path or here.url) if here is not None else ""
    request.place = f"{shown}\0{document.filename}\0{document.target}"
    return Wanted(
        request,
        platforms if several else [],
        document.tags,
        document.outputs,
        document.cache_to,
        document.push,
        document.explain,
    )


def from_query(http: HTTPRequest, body: Source, intake: Intake) -> Wanted:
    """`POST /build` of the Engine API, the context being the body or `remote`. Raises InvalidParameter."""
    query = http.query
    for name in _NOT_TAKEN:
        if query.get(name, "0") not in ("", "0"):
            raise InvalidParameter(
                f"{name}: the steps of a build cannot be limited apart",
                hint="Leave the limit away, or set it on the engine's control group.",
            )
    if http.flag("squash"):
        raise InvalidParameter("squash is not supported", hint="Use a multi-stage build instead.")
    filename = query.get("dockerfile") or DOCKERFILE
    text: bytes | None = None
    remote = query.get("remote", "")
    if remote:
        context = intake.remote(remote)
    else:
        text, context = _sent(body, intake)
    try:
        if text is None:
            context.ignore = read_ignore(context, filename)
            text = read_dockerfile(context, filename)
        request = Request(
            text,
            filename,
            {"": context},
            {},
            Options(
                build_args=_arguments(query.get("buildargs", "")),
                target=query.get("target", ""),
                platform=query.get("platform") or _HOST,
                build_platform=_HOST,
                labels=_decode(query.get("labels", ""), dict[str, str], "labels") or {},
                no_cache=http.flag("nocache"),
                network=query.get("networkmode") or "default",
                hosts=[host for text in http.multiple.get("extrahosts", []) for host in _hosts(text)],
                shm_size=http.number("shmsize") or 0,
                ulimits=[
                    f"{each.name}={each.soft}:{each.hard}"
                    for each in _decode(query.get("ulimits", ""), list[Ulimit], "ulimits") or []
                ],
            ),
            [tag for tag in http.multiple.get("t", []) if tag],
            http.flag("pull"),
            credentials_for=_credentials(_auth(http.headers.get(REGISTRY_CONFIG, ""))),
            # Who says networkmode=host grants it, as with dockerd; nothing here grants more.
            entitlements=[entitlements.NETWORK_HOST] if query.get("networkmode") == "host" else [],
        )
        _check_tags(request.tags)
    except BaseException:
        context.close()
        raise
    request.place = f"api\0{','.join(request.tags)}\0{filename}\0{query.get('target', '')}"
    return Wanted(request, quiet=http.flag("q"))


def _check_tags(tags: Sequence[str]) -> None:
    """Before anything is built for them. Raises InvalidParameter."""
    for tag in tags:
        try:
            parse_reference(tag)
        except InvalidParameter as error:
            raise InvalidParameter(f'invalid tag "{tag}": {error.message}') from None


def _is_kept(outputs: list[Output]) -> bool:
    return not outputs or any(output.type == "image" for output in outputs)


def _platforms(document: Document) -> list[str]:
    """Each once. Raises InvalidParameter, also for outputs that cannot take several."""
    texts = [text.strip() for text in document.platform.split(",") if text.strip()]
    found = list(dict.fromkeys(format_platform(parse_platform(text)) for text in texts))
    if len(found) > 1 and not document.push:
        images = [each for each in document.outputs if each.type in ("image", "docker")]
        if not document.outputs or any(each.attributes.get("push") != "true" for each in images):
            raise several_stay_nowhere()
    return found or [_HOST]


def _arguments_of(document: Document) -> dict[str, str]:
    """What was asked for, as BuildKit's frontend is told of it."""
    found = {f"build-arg:{name}": value for name, value in document.build_args.items()}
    found |= {f"label:{name}": value for name, value in document.labels.items()}
    found |= {f"context:{name}": place.url or "local" for name, place in document.contexts.items() if name}
    found |= {f"context:{name}": image for name, image in document.images.items()}
    given = {
        "target": document.target,
        "no-cache": ",".join(document.no_cache_filter),
        "force-network-mode": document.network,
        "add-hosts": ",".join(document.hosts),
    }
    return found | {name: value for name, value in given.items() if value}


def _context(
    name: str, place: Place, body: Source, intake: Intake, offered: Offered, *, keep_git: bool
) -> Context:
    if place.session:
        return offered(place.session, name, place.key)
    if place.sent:
        return intake.tar(body)
    if place.url:
        return intake.remote(place.url, keep_git=keep_git)
    if not place.path:
        return intake.empty()
    _require_here(place, f"the context {name or place.path}")
    return intake.directory(place.path)


def _require_here(place: Place, what: str) -> None:
    try:
        found = os.stat(place.path)
    except OSError:
        found = None
    if found is None or (found.st_dev, found.st_ino) != (place.device, place.inode):
        raise NotHere(f"{what} is not a directory of the engine's machine")


def _layout(name: str, layout: LayoutPlace) -> Layout:
    _require_here(layout.place, f"the image layout {name}")
    return local_layout(layout.place.path, layout.reference)


def _cache_source(source: CacheSource) -> Reference | str:
    if source.reference:
        return parse_reference(source.reference).with_default_tag()
    _require_here(source.place, f"the cache {source.place.path}")
    return source.place.path


def _sent(body: Source, intake: Intake) -> tuple[bytes | None, Context]:
    """A client may send a bare Dockerfile instead of a tar."""
    head = b""
    while len(head) < _HEAD and (data := body.read(_HEAD - len(head))):
        head += data
    plain = head[:2] not in (b"\x1f\x8b", b"BZ", b"\x28\xb5", b"\xfd7") and not is_header(head)
    if plain and head and len(head) < _HEAD:
        return head, intake.empty()
    return None, intake.tar(Prefixed(head, body))


def _hosts(text: str) -> list[str]:
    """One host a parameter, or all as one JSON list, as docker's client sends them."""
    if text.startswith("["):
        return _decode(text, list[str], "extrahosts") or []
    return [text] if text else []


def _arguments(text: str) -> dict[str, str]:
    """A build arg whose value is null has none: it counts as not given."""
    given = _decode(text, dict[str, str | None], "buildargs") or {}
    return {name: value for name, value in given.items() if value is not None}


def _decode(text: str, kind: Any, name: str) -> Any:
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"invalid {name}: {error}") from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise InvalidParameter("a secret's value is not in base64") from None


def _auth(header: str) -> dict[str, dict[str, str]]:
    if not header:
        return {}
    text = header.replace("+", "-").replace("/", "_").rstrip("=")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(data, type=dict[str, dict[str, str]]) if data.strip() else {}
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidParameter(f"invalid X-Registry-Config header: {error}") from None


def _credentials(known: Mapping[str, dict[str, str]]) -> Callable[[str], Credentials]:
    def of(domain: str) -> Credentials:
        keys = (_HUB_KEY, _HUB, "index.docker.io") if domain == _HUB else (domain, f"https://{domain}")
        found = next((known[key] for key in keys if key in known), None)
        return Credentials.from_fields(dict(found)) if found else Credentials()

    return of
