"""A container's file system as the engine reaches into it: its root, with its volumes where they belong.

A running container's root is mounted in its own mount namespace only, and an overlay must not be mounted
twice; so a copy of that mount is taken (open_tree(2)), without /proc, /sys and /dev, which are nobody's to
copy, and with copies of the mounts that its user asked for. A stopped one's root is mounted anew. Either
happens in the mount namespace of a thread that lives no longer than the work: the host's table stays empty,
and whatever becomes of the engine, nothing is left mounted.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from argosy.engine import mounts as mount_requests
from argosy.engine import stubs
from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.stop import cgroup_path
from argosy.errors import Conflict, NotFound
from argosy.image import Mount
from argosy.linux import cgroup, mount, namespaces
from argosy.linux.confinement import without_imports
from argosy.linux.path import O_PATH, make_mountpoint
from argosy.runtime.mounting import BindMount
from argosy.runtime.operations import Context, Refused

T = TypeVar("T")
_FILES = ("resolv.conf", "hostname", "hosts")


class _Ended(Exception):
    """The container's first process is no more."""


async def in_root(
    engine: Engine, container: Container, work: Callable[[int], T], *, volumes: bool = True
) -> T:
    """Do `work`, which is given a descriptor of the root, in a thread of its own. Raises NotFound.

    A container that does not run cannot be started or removed meanwhile.
    """
    places = _places(container) if volumes else []
    if container.status.is_alive():
        try:
            return await engine.in_own_thread(lambda: _in_live(engine, container, places, work))
        except _Ended:
            # Its end is on the way here.
            await engine.shim.ask({"op": "ping"})
    async with container.lock:
        if engine.containers.get(container.id) is not container:
            raise NotFound(f"No such container: {container.id}")
        if container.status.is_alive():
            raise Conflict(f"container {container.id} has just been started: try again")
        return await engine.in_own_thread(lambda: _in_idle(engine, container, work, volumes=volumes))


async def in_base(engine: Engine, container: Container, work: Callable[[int], T]) -> T:
    """As `in_root`, with the root of the container's image, read-only."""
    key = f"{container.id}-base-{os.urandom(4).hex()}"

    def run() -> T:
        snapshotter = engine.images.snapshotter
        mounts = snapshotter.view(key, container.spec.chain_id or None)
        try:
            with _own_namespace(), _mounted(engine.settings.rootfs, mounts) as root:
                return work(root)
        finally:
            snapshotter.remove(key)

    return await engine.in_own_thread(run)


def _places(container: Container) -> list[str]:
    """Where the user had something mounted, uppermost first."""
    places = {point.destination for point in container.spec.mounts}
    places.update(mount_requests.tmpfs_mounts(container.spec.host))
    places.update(f"/etc/{name}" for name in _FILES)
    return sorted(places, key=lambda place: place.count("/"))


def _in_live(engine: Engine, container: Container, places: list[str], work: Callable[[int], T]) -> T:
    target = engine.settings.rootfs
    with _own_namespace() as own:
        theirs = _mount_namespace(engine, container)
        try:
            namespaces.setns(theirs, namespaces.CLONE_NEWNS)
            with without_imports():
                trees = _copied(places)
        finally:
            os.close(theirs)
        try:
            namespaces.setns(own, namespaces.CLONE_NEWNS)
            for _, tree, _ in trees:
                mount.only_to_look_at(tree)
            mount.move_mount(trees[0][1], target)
            root = os.open(target, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for place, tree, directory in trees[1:]:
                    point = make_mountpoint(root, place, directory=directory)
                    try:
                        mount.move_mount(tree, f"/proc/self/fd/{point}")
                    finally:
                        os.close(point)
                return work(root)
            finally:
                os.close(root)
        finally:
            for _, tree, _ in trees:
                os.close(tree)


def _in_idle(engine: Engine, container: Container, work: Callable[[int], T], *, volumes: bool) -> T:
    mounts = stubs.above(engine.settings.stubs, engine.images.snapshotter.mounts(container.id))
    with _own_namespace(), _mounted(engine.settings.rootfs, mounts) as root:
        if volumes:
            _bind_volumes(engine, container, root)
            mount.only_to_look_at(engine.settings.rootfs)
        return work(root)


def _bind_volumes(engine: Engine, container: Container, root: int) -> None:
    """What is there of them: a source may be gone, and one that is mounted itself may not be so now."""
    context = Context({})
    context.root = root
    bundle = engine.bundle(container)
    taken = {point.destination for point in container.spec.mounts}
    binds = [
        BindMount(f"{bundle}/{name}", f"/etc/{name}", ("bind", "ro"))
        for name in _FILES
        if f"/etc/{name}" not in taken
    ]
    subpaths = mount_requests.subpaths(container.spec.host) if container.spec.host.mounts else {}
    for point in sorted(container.spec.mounts, key=lambda point: point.destination.count("/")):
        if point.type in ("bind", "volume") and not (point.name and engine.volumes.is_mount(point.name)):
            words = ("rbind",) if point.rw else ("rbind", "ro")
            subpath = subpaths.get(point.destination, "")
            binds.append(BindMount(point.source, point.destination, words, subpath))
    for bind in binds:
        if os.path.exists(bind.source):
            try:
                bind.execute(context)
            except Refused as error:
                raise Conflict(str(error)) from None


@contextmanager
def _own_namespace() -> Iterator[int]:
    """A mount namespace of this thread's own, which never comes back from it; yields a descriptor."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mount.mount("", "/", flags=mount.MS_PRIVATE | mount.MS_REC)
    # Held open, its mounts stay connected until the work is done.
    descriptor = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _mounted(target: str, mounts: list[Mount]) -> Iterator[int]:
    mount.mount_stack([(each.type, each.source, each.options) for each in mounts], target)
    mount.only_to_look_at(target)
    root = os.open(target, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield root
    finally:
        os.close(root)


def _mount_namespace(engine: Engine, container: Container) -> int:
    """A descriptor of the container's. Raises _Ended."""
    pid = container.state.pid
    try:
        descriptor = os.open(namespaces.namespace_path(pid, "mount"), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise _Ended from None
    # A number that was given to another process meanwhile is in another group.
    if pid not in cgroup.group(cgroup_path(engine, container)).pids():
        os.close(descriptor)
        raise _Ended
    return descriptor


def _copied(places: list[str]) -> list[tuple[str, int, bool]]:
    """The root's mount in this thread's namespace, and those at `places`: where, the copy, a directory?"""
    found = [("/", mount.open_tree("/"), True)]
    try:
        for place in places:
            try:
                directory = os.path.isdir(place)
                found.append((place, mount.open_tree(place, below=True), directory))
            except OSError:
                # The container can take away what is around its mounts.
                continue
    except BaseException:
        for _, tree, _ in found:
            os.close(tree)
        raise
    return found
