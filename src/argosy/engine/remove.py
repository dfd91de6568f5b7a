"""Removing containers, one or all that have stopped."""

import shutil

from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.lifecycle import Event, Status
from argosy.engine.stop import end_now
from argosy.errors import Conflict


async def remove(engine: Engine, container: Container, *, force: bool = False, volumes: bool = False) -> None:
    """`volumes`: those that were made for it, too. Raises Conflict while it runs, unless forced."""
    if container.status == Status.REMOVING:
        raise Conflict(f"removal of container {container.id} is already in progress")
    if container.status.is_alive():
        if not force:
            state = "paused" if container.status == Status.PAUSED else "running"
            remedy = "unpause and then stop" if state == "paused" else "stop"
            raise Conflict(
                f'cannot remove container "{container.name}": container is {state}: {remedy} the container '
                "before removing or force remove"
            )
        removal = container.removal() if container.spec.host.auto_remove else None
        await end_now(engine, container)
        if removal is not None:
            await removal
            return
    async with container.lock:
        await remove_locked(engine, container, volumes=volumes)


async def remove_locked(engine: Engine, container: Container, *, volumes: bool) -> None:
    """With the lock held and no process left."""
    if engine.containers.get(container.id) is not container:
        return
    container.call_off_restart()
    container.fire(Event.REMOVE)
    # From here on it is gone; what a crash leaves of it is swept at the next start.
    await engine.containers.delete(container, durable=not container.spec.host.auto_remove)
    await engine.in_thread(_remove_files, engine, container)
    if volumes:
        await engine.in_thread(_remove_volumes, engine, container)
    engine.shim.tell({"op": "forget", "id": container.id})
    engine.container_event(container, "destroy")
    container.tell_removed()


def _remove_files(engine: Engine, container: Container) -> None:
    engine.images.snapshotter.remove(container.id)
    for image in container.spec.images:
        engine.images.snapshotter.remove(image.key)
    shutil.rmtree(engine.directory(container))
    shutil.rmtree(engine.bundle(container), ignore_errors=True)


def _remove_volumes(engine: Engine, container: Container) -> None:
    for name in container.spec.anonymous:
        if engine.volumes.exists(name) and not engine.volume_users(name):
            engine.volumes.remove(name, engine.volume_users)
