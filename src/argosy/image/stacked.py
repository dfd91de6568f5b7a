"""What the snapshotters have in common: active snapshots are upper directories of an overlay.

    active/<key>/upper, work   writable
                /empty         or a view
    trash/<random>             being deleted

The directories are the state; what is in memory is read from them at the start. An active snapshot's
parent is in an extended attribute of its directory. `prepare` makes three directories and syncs
nothing.
"""

import contextlib
import errno
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from argosy.errors import ArgosyError, Conflict, InvalidParameter, NotFound
from argosy.image.layer_changes import Change, list_changes
from argosy.image.layer_diff import diff_layer
from argosy.image.placement import spread_subdirectories
from argosy.image.snapshot import Info, Mount, Usage
from argosy.image.tar import Source
from argosy.image.trash import Trash
from argosy.linux.remove_tree import remove_tree
from argosy.linux.tree_size import tree_size

_PAGE = 4096
_PARAMETERS = "/sys/module/overlay/parameters"
_PARENT = "argosy.parent"
_SHA256 = "sha256:"


class Committed(Protocol):
    """`root` is the mode, owner and group of the root directory, which an upper directory repeats."""

    @property
    def name(self) -> str: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def size(self) -> int: ...
    @property
    def inodes(self) -> int: ...
    @property
    def root(self) -> tuple[int, int, int]: ...


C = TypeVar("C", bound=Committed)


class _Active(NamedTuple):
    parent: str | None
    writable: bool


class StackedSnapshotter(ABC, Generic[C]):
    """Thread-safe. What differs is how a committed layer becomes a lower layer."""

    def __init__(self, base: str, *, userxattr: bool = False) -> None:
        self._base = base
        self._active_dir = os.path.join(base, "active")
        # Containers' users other than root pass through here on some paths, and see nothing.
        os.makedirs(self._active_dir, mode=0o700, exist_ok=True)
        # Containers come and go here: see `placement` for why they must not share a place on the disk.
        spread_subdirectories(self._active_dir)
        self._trash = Trash(os.path.join(base, "trash"))
        self._userxattr = userxattr
        self._parent_attribute = f"{'user' if userxattr else 'trusted'}.{_PARENT}"
        self._fixed_options = _fixed_options(userxattr)
        self._lock = threading.RLock()
        self._committed: dict[str, C] = {}
        self._active: dict[str, _Active] = {}
        self._staged: dict[str, Usage] = {}

    @abstractmethod
    def stage(self, key: str, layer: Source) -> Usage: ...

    @abstractmethod
    def _lower(self, chain: list[C]) -> tuple[list[Mount], list[str]]:
        """For a chain, from the top down: mounts to be made first, and overlay's lower layers."""

    @abstractmethod
    def _forget_committed(self, committed: C) -> None:
        """Nothing stands on it, and it is no longer in `_committed`: delete it."""

    @abstractmethod
    def _forget_staged(self, key: str) -> None:
        """It is no longer in `_staged`: delete it."""

    # What is active

    def prepare(self, key: str, parent: str | None) -> list[Mount]:
        return self._make(key, _Active(parent, writable=True))

    def view(self, key: str, parent: str | None) -> list[Mount]:
        return self._make(key, _Active(parent, writable=False))

    def mounts(self, key: str) -> list[Mount]:
        with self._lock:
            active = self._active.get(key)
            if active is None:
                raise missing(key)
            return self._mounts(key, active)

    def diff(
        self,
        key: str,
        write: Callable[[bytes], object],
        left_out: Collection[bytes] = (),
        latest: int | None = None,
    ) -> None:
        with self._lock:
            tree = self._own_tree(key)
        diff_layer(tree, write, left_out, latest)

    def changes(self, key: str, base: int, left_out: Collection[bytes] = ()) -> list[Change]:
        with self._lock:
            tree = self._own_tree(key)
        return list_changes(tree, base, left_out)

    def _make(self, key: str, active: _Active) -> list[Mount]:
        directory = os.path.join(self._active_dir, checked(key))
        with self._lock:
            self._require_free(key)
            self._require_parent(active.parent)
            mounts = self._mounts(key, active)
            os.mkdir(directory, 0o700)
            try:
                self._fill(directory, active)
            except BaseException:
                self._trash.discard(directory)
                raise
            self._active[key] = active
        return mounts

    def _fill(self, directory: str, active: _Active) -> None:
        if active.parent is not None:
            os.setxattr(directory, self._parent_attribute, _packed(active.parent))
        if active.writable:
            upper = directory + "/upper"
            os.mkdir(upper)
            mode, uid, gid = self._committed[active.parent].root if active.parent else (0o755, 0, 0)
            if uid or gid:
                os.chown(upper, uid, gid)
            os.chmod(upper, mode)
        # The last one made says that the snapshot is whole.
        os.mkdir(directory + ("/work" if active.writable else "/empty"), 0o700)

    def _mounts(self, key: str, active: _Active) -> list[Mount]:
        directory = f"{self._active_dir}/{key}"
        first, lower = self._lower(self._chain(active.parent))
        if not lower:
            if active.writable:
                return [Mount("bind", directory + "/upper", ("rbind", "rw"))]
            return [Mount("bind", directory + "/empty", ("rbind", "ro"))]
        if not active.writable:
            # An overlay needs two layers at least.
            lower = [*lower, _escape(directory + "/empty", ":,\\")] if len(lower) == 1 else lower
        options = ["lowerdir=" + ":".join(lower)]
        if active.writable:
            options.append("upperdir=" + _escape(directory + "/upper", ",\\"))
            options.append("workdir=" + _escape(directory + "/work", ",\\"))
            options += self._fixed_options
        elif self._userxattr:
            options.append("userxattr")
        if len(",".join(options)) >= _PAGE:
            raise InvalidParameter(
                f"max depth exceeded: {len(lower)} layers do not fit into one mount",
                hint=f"a shorter path than {self._base} leaves room for more",
            )
        return [*first, Mount("overlay", "overlay", tuple(options if active.writable else [*options, "ro"]))]

    # What there is

    def usage(self, key_or_name: str, left_out: Collection[bytes] = ()) -> Usage:
        with self._lock:
            committed = self._committed.get(key_or_name)
            if committed is not None:
                return Usage(committed.size, committed.inodes)
            staged = self._staged.get(key_or_name)
            if staged is not None:
                return staged
            tree = self._own_tree(key_or_name)
        return Usage(*count_tree(tree, left_out))

    def exists(self, key_or_name: str) -> bool:
        with self._lock:
            return self._is_taken(key_or_name)

    def walk(self) -> Iterator[Info]:
        with self._lock:
            committed = list(self._committed.values())
            active = list(self._active.items())
        for snapshot in committed:
            yield Info(snapshot.name, snapshot.parent, True)
        for key, held in active:
            yield Info(key, held.parent, False)

    def _describe_active(self, key: str) -> dict[str, str]:
        directory = os.path.join(self._active_dir, key)
        return {
            "UpperDir": os.path.join(directory, "upper"),
            "WorkDir": os.path.join(directory, "work"),
        }

    # What goes

    def remove(self, key_or_name: str) -> None:
        with self._lock:
            if key_or_name in self._committed:
                self._require_alone(key_or_name)
                self._forget_committed(self._committed.pop(key_or_name))
            elif self._active.pop(key_or_name, None) is not None:
                self._trash.discard(os.path.join(self._active_dir, key_or_name))
            elif self._staged.pop(key_or_name, None) is not None:
                self._forget_staged(key_or_name)

    def close(self) -> None:
        self._trash.close()

    # With the lock held

    def _require_alone(self, name: str) -> None:
        standing = [committed.name for committed in self._committed.values() if committed.parent == name]
        standing += [key for key, active in self._active.items() if active.parent == name]
        if standing:
            raise Conflict(f"snapshot {name} is the parent of {standing[0]}")

    def _chain(self, name: str | None) -> list[C]:
        """The committed snapshots from `name` down."""
        chain: list[C] = []
        while name is not None:
            committed = self._committed.get(name)
            if committed is None:
                raise NotFound(f"parent snapshot {name} does not exist")
            chain.append(committed)
            name = committed.parent
        return chain

    def _require_free(self, key: str) -> None:
        if self._is_taken(key):
            raise Conflict(f"snapshot {key} already exists")

    def _require_parent(self, parent: str | None) -> None:
        if parent is not None and parent not in self._committed:
            raise NotFound(f"parent snapshot {parent} does not exist")

    def _is_taken(self, text: str) -> bool:
        return text in self._active or text in self._committed or text in self._staged

    def _own_tree(self, key: str) -> str:
        if key in self._active:
            own = "upper" if self._active[key].writable else "empty"
            return os.path.join(self._active_dir, key, own)
        raise missing(key)

    # The start

    def _load_active(self) -> None:
        for key in os.listdir(self._active_dir):
            directory = os.path.join(self._active_dir, key)
            present = os.listdir(directory)
            if ("work" in present and "upper" in present) or "empty" in present:
                self._active[key] = _Active(self._read_parent(directory), writable="work" in present)
            else:
                remove_tree(directory)

    def _read_parent(self, directory: str) -> str | None:
        try:
            return _unpacked(os.getxattr(directory, self._parent_attribute))
        except OSError as error:
            if error.errno == errno.ENODATA:
                return None
            raise


def stands(committed: C, found: dict[str, C]) -> bool:
    """Whether all that it stands on is there."""
    while committed.parent is not None:
        if committed.parent not in found:
            return False
        committed = found[committed.parent]
    return True


def count_tree(tree: str, left_out: Collection[bytes] = ()) -> tuple[int, int]:
    """As `tree_size`; nothing for one that is being removed at this moment."""
    try:
        descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0, 0
    try:
        return tree_size(descriptor, left_out)
    finally:
        os.close(descriptor)


def checked(key: str) -> str:
    """A key becomes a file name."""
    if not key or len(key) > 200 or key in (".", "..") or "/" in key or "\0" in key:
        raise InvalidParameter(f"invalid snapshot key {key!r}")
    return key


def missing(key_or_name: str) -> ArgosyError:
    return NotFound(f"snapshot {key_or_name} does not exist")


def lower_option(path: str) -> str:
    """A path as it must be spelled among overlay's lower layers."""
    return _escape(path, ":,\\")


def with_bottom(mounts: list[Mount], directory: str) -> list[Mount]:
    """The same root with what is in `directory` where no layer has anything, if there is room for that."""
    *first, root = mounts
    lowest = f":{lower_option(directory)}"
    if root.type != "overlay" or len(",".join(root.options)) + len(lowest) >= _PAGE:
        return mounts
    options = tuple(each + lowest if each.startswith("lowerdir=") else each for each in root.options)
    return [*first, Mount(root.type, root.source, options)]


def _fixed_options(userxattr: bool) -> list[str]:
    """What keeps an upper directory readable as a layer, where the kernel's default is otherwise:
    without it, a renamed directory or a changed mode is a reference to the layers below."""
    options = ["userxattr"] if userxattr else []
    for parameter in ("index", "metacopy", "redirect_dir"):
        with contextlib.suppress(OSError), open(f"{_PARAMETERS}/{parameter}") as file:
            if file.read(1) == "Y":
                options.append(f"{parameter}=off")
    return options


def _packed(name: str) -> bytes:
    """Short enough for the room that ext4 has in an inode."""
    if name.startswith(_SHA256):
        return b"\0" + bytes.fromhex(name[len(_SHA256) :])
    return name.encode()


def _unpacked(data: bytes) -> str:
    return _SHA256 + data[1:].hex() if data.startswith(b"\0") else data.decode()


def _escape(path: str, special: str) -> str:
    """`special` ends with the backslash itself, which must come first."""
    for character in reversed(special):
        path = path.replace(character, "\\" + character)
    return path
