"""What every verb of the engine works with."""

import asyncio
import contextlib
import functools
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from argosy.database import Database
from argosy.engine import stubs
from argosy.engine.apparmor import AppArmor
from argosy.engine.container import Container
from argosy.engine.container_store import ContainerStore
from argosy.engine.events import Events
from argosy.engine.networks import Networks
from argosy.engine.settings import Settings
from argosy.engine.shim_link import ShimError, ShimLink
from argosy.errors import Unavailable
from argosy.image import Images, ImageUser
from argosy.image.placement import spread_subdirectories
from argosy.linux.private import hide, make_private
from argosy.volume.store import VolumeStore

log = logging.getLogger("argosy")
T = TypeVar("T")
_THREADS = 16
_DATABASE, _SHIM_LOG = "argosy.db", "shim.log"


class Engine:
    """The verbs are modules beside this one: `create`, `start`, `stop`, `remove`, `supervise`, …"""

    def __init__(self, settings: Settings) -> None:
        make_private(settings.root, mark=_DATABASE)
        for directory in (settings.containers, settings.bundles, settings.rootfs):
            make_private(directory)
        for parent in (settings.containers, settings.bundles):
            spread_subdirectories(parent)
        stubs.lay(settings.stubs)
        for name in (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", _SHIM_LOG):
            with contextlib.suppress(FileNotFoundError):
                hide(os.path.join(settings.root, name))
        self.settings = settings
        self.apparmor = AppArmor()
        self.apparmor.prepare()
        self.database = Database(os.path.join(settings.root, _DATABASE))
        self.events = Events()
        self.loop = asyncio.get_running_loop()
        self.images = Images(
            settings.root,
            self.database,
            in_use=self._users_of_image,
            on_event=self._image_event,
            insecure_registries=settings.insecure_registries,
            mirrors=settings.registry_mirrors,
            downloads=settings.max_concurrent_downloads,
            uploads=settings.max_concurrent_uploads,
            storage_driver=settings.storage_driver,
        )
        self.volumes = VolumeStore(os.path.join(settings.root, "volumes"), self.database)
        self.networks = Networks(settings, self.database)
        self.containers = ContainerStore(self.database)
        self.shim = ShimLink(settings.run, os.path.join(settings.root, _SHIM_LOG), self._shim_event)
        self.on_started: Callable[[Container], None] | None = None
        self.on_exit: Callable[[dict[str, Any]], Awaitable[None]] | None = None
        self.on_exec_exit: Callable[[dict[str, Any]], None] | None = None
        self.on_shim_lost: Callable[[], Awaitable[None]] | None = None
        # What the shim said that runs and what has ended, until `supervise` takes over.
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        self.exited: dict[tuple[str, str], dict[str, Any]] = {}
        # Steps of builds that run, by their containers' IDs: what resolves when they end.
        self.steps: dict[str, asyncio.Future[dict[str, Any]]] = {}
        # (profile, capabilities) → the path of the compiled filter.
        self.seccomp_filters: dict[tuple[str, tuple[str, ...]], str] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="worker")
        # What threads wait for in the event loop.
        self._waiting: set[Future[Any]] = set()
        self._waiting_lock = threading.Lock()
        self._closing = False

    def in_thread(self, function: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        """Run what blocks."""
        return self.loop.run_in_executor(self._threads, function, *arguments)

    def from_thread(self, work: Coroutine[Any, Any, T], meanwhile: Callable[[], object] = lambda: None) -> T:
        """Have the event loop do something and wait for it, in a thread. Raises what it raises, and
        CancelledError once the engine is closing: the loop may by then wait for this very thread."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        with self._waiting_lock:
            if self._closing:
                future.cancel()
            self._waiting.add(future)
        try:
            meanwhile()
            return future.result()
        finally:
            with self._waiting_lock:
                self._waiting.discard(future)

    async def in_own_thread(self, function: Callable[[], T]) -> T:
        """Run what changes the thread that it runs in, such as its namespaces. It is seen to its end."""
        future: asyncio.Future[T] = self.loop.create_future()

        def run() -> None:
            settle: Callable[[], None]
            try:
                settle = functools.partial(future.set_result, function())
            except BaseException as error:  # noqa: BLE001  it is the caller's
                settle = functools.partial(future.set_exception, error)
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(settle)

        threading.Thread(target=run, name="own", daemon=True).start()
        return await self.to_its_end(future)

    async def to_its_end(self, future: "asyncio.Future[T]") -> T:
        """What a thread does is not over because nobody waits for it: cancelled, this waits all the same, so
        that what the thread uses may be closed."""
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.exception()
            raise

    def spawn(self, work: Awaitable[None], what: str) -> None:
        """Let it run on its own; a failure is logged."""

        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("%s failed", what)

        task = self.loop.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let go of everything; containers go on, and with them the shim. An idle one goes, too."""
        self.on_shim_lost = None
        with self._waiting_lock:
            self._closing = True
            for future in self._waiting:
                future.cancel()
        with contextlib.suppress(ShimError, Unavailable):
            await self.shim.ask({"op": "shutdown"})
        for task in list(self._tasks):
            task.cancel()
        for container in self.containers.all():
            container.call_off_restart()
        self.shim.close()
        # Not here: what the threads still do may need the loop.
        await self.in_own_thread(lambda: self._threads.shutdown(cancel_futures=True))
        await self.in_own_thread(self.images.close)
        self.networks.close()
        self.database.close()

    def container_event(self, container: Container, action: str, **more: str) -> None:
        attributes = {
            "image": container.spec.config.image,
            "name": container.name,
            **container.labels(),
            **more,
        }
        self.events.publish("container", action, container.id, attributes)

    def directory(self, container: Container) -> str:
        return container.directory(self.settings.containers)

    def bundle(self, container: Container) -> str:
        return os.path.join(self.settings.bundles, container.id)

    def volume_users(self, name: str) -> list[str]:
        return [
            container.id
            for container in self.containers.all()
            if any(point.name == name for point in container.spec.mounts)
        ]

    def _users_of_image(self, image: str) -> list[ImageUser]:
        return [
            ImageUser(container.id, container.status.is_running())
            for container in self.containers.all()
            if container.spec.image == image or any(each.image == image for each in container.spec.images)
        ]

    def _image_event(self, action: str, image: str, attributes: dict[str, str]) -> None:
        # Images are worked on in threads.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.events.publish, "image", action, image, attributes)

    def _shim_event(self, message: dict[str, Any]) -> None:
        if message["event"] == "lost":
            for step in self.steps.values():
                if not step.done():
                    step.set_exception(Unavailable("argosy-shim is gone, and with it the step"))
            if self.on_shim_lost is not None:
                self.spawn(self.on_shim_lost(), "replacing the shim")
            return
        key = (message["id"], message["exec"])
        if message["event"] == "known":
            self.known[key] = message
        elif message["id"] in self.steps:
            self.shim.tell({"op": "release", "id": message["id"]})
            step = self.steps[message["id"]]
            if not step.done():
                step.set_result(message)
        elif self.on_exit is None or self.on_exec_exit is None:
            self.exited[key] = message
        elif message["exec"]:
            self.on_exec_exit(message)
        else:
            self.spawn(self.on_exit(message), f"handling the end of {message['id']}")
