"""Making an image of a container, and telling what it has changed."""

import contextlib

import msgspec
from msgspec import UNSET

from argosy.engine import stubs
from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.lifecycle import Status
from argosy.engine.root_view import in_base
from argosy.engine.stop import parse_signal, pause, unpause
from argosy.errors import ArgosyError, Conflict, NotFound
from argosy.image import ImageRecord, parse_reference
from argosy.image.changes import apply_changes
from argosy.image.create import NewImage
from argosy.image.layer_changes import Change
from argosy.spec.docker_container import ContainerConfig
from argosy.spec.oci_image import Healthcheck, ImageConfig


async def changes(engine: Engine, container: Container) -> list[Change]:
    """In the order of paths."""
    snapshotter = engine.images.snapshotter
    return await in_base(engine, container, lambda base: snapshotter.changes(container.id, base, stubs.PATHS))


async def commit(
    engine: Engine,
    container: Container,
    given: ContainerConfig,
    *,
    repository: str = "",
    tag: str = "",
    author: str = "",
    comment: str = "",
    instructions: list[str] | None = None,
    hold: bool = True,
) -> str:
    """The image's ID. What `given` leaves open is the container's own. `hold`: it is paused meanwhile.

    Raises InvalidParameter, Conflict, NotFound.
    """
    reference = parse_reference(repository) if repository else None
    if reference is not None and tag:
        reference = reference.with_tag(tag)
    if container.status == Status.REMOVING:
        raise Conflict(f"You cannot commit container {container.id} which is being removed")
    own = container.spec.config
    config = apply_changes(_image_config(given, own), instructions or [])
    if not config.entrypoint:
        config = msgspec.structs.replace(
            config,
            entrypoint=_words(own.entrypoint) or None,
            cmd=config.cmd or _words(own.cmd) or None,
        )
    if config.stop_signal:
        parse_signal(config.stop_signal)
    new = NewImage(
        config=config,
        parent=_parent(engine, container),
        author=author,
        comment=comment,
        created_by=" ".join(_words(own.cmd)),
    )

    def work() -> ImageRecord:
        return engine.images.commit(container.id, new, repository=repository, tag=tag, left_out=stubs.PATHS)

    held = hold and container.status == Status.RUNNING
    if held:
        with contextlib.suppress(ArgosyError):
            await pause(engine, container, lasting=False)
    try:
        record = await engine.in_thread(work)
    finally:
        if held:
            with contextlib.suppress(ArgosyError):
                await unpause(engine, container)
    name = reference.with_default_tag().familiar if reference is not None else ""
    more = {"imageRef": name} if name else {}
    engine.container_event(container, "commit", comment=comment, imageID=record.id, **more)
    return record.id


def _parent(engine: Engine, container: Container) -> ImageRecord:
    try:
        return engine.images.resolve(container.spec.image)
    except NotFound:
        raise NotFound(f"the image of container {container.id} is gone: {container.spec.image}") from None


def _words(value: list[str] | str | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _image_config(given: ContainerConfig, own: ContainerConfig) -> ImageConfig:
    """What is not given comes from the container (moby `dockerversion.merge`)."""
    names = {item.partition("=")[0] for item in given.env or []}
    environment = [*(given.env or []), *(i for i in own.env or [] if i.partition("=")[0] not in names)]
    entrypoint = _words(given.entrypoint)
    command = _words(given.cmd)
    if not entrypoint and not command:
        command, entrypoint = _words(own.cmd), _words(own.entrypoint)
    elif not entrypoint:
        entrypoint = _words(own.entrypoint)
    exposed = {**(own.exposed_ports or {}), **(given.exposed_ports or {})}
    volumes = {**(own.volumes or {}), **(given.volumes or {})}
    labels = {**(own.labels or {}), **(given.labels or {})}
    stop_timeout = given.stop_timeout if given.stop_timeout is not UNSET else own.stop_timeout
    shell = given.shell or own.shell
    return ImageConfig(
        user=given.user or own.user,
        exposed_ports={port: {} for port in exposed} or None,
        env=environment or None,
        entrypoint=entrypoint or None,
        cmd=command or None,
        volumes={path: {} for path in volumes} or None,
        working_dir=given.working_dir or own.working_dir,
        labels=labels or None,
        stop_signal=given.stop_signal or own.stop_signal or "",
        stop_timeout=stop_timeout if isinstance(stop_timeout, int) else None,
        healthcheck=_check(given) or _check(own),
        on_build=given.on_build or own.on_build,
        shell=shell if isinstance(shell, list) else None,
    )


def _check(config: ContainerConfig) -> Healthcheck | None:
    check = config.healthcheck
    if not check:
        return None
    return msgspec.convert(msgspec.to_builtins(check), Healthcheck)
