"""The snapshotter that unpacks each layer once into a directory, and stacks directories with overlay.

    snapshots/committed/<hex of name>/fs      the layer, whiteouts as overlay wants them
                                     /meta    parent, link, usage: `_Meta` as JSON
    snapshots/active/<key>/upper, work        writable
                          /empty              or a view
                          /parent             symbolic link whose text is the parent's name
    snapshots/staging/<key>/fs                not yet committed, lost with the process
    snapshots/trash/<random>                  being deleted
    l/<link> → …/committed/<hex>/fs           a short path: mount(2) takes one page of options, and 127
                                              lower directories must fit in it

The directories are the state; what is in memory is read from them at the start. `prepare` makes three
directories and a link and syncs nothing. A committed snapshot carries in `meta` the ID of the boot that
it was committed in, until it is known to be on the disk: found after another boot, its files may be
cut off anywhere, and it is thrown away.
"""

import os
import queue
import stat
import threading
from collections.abc import Callable, Iterator

import msgspec

from argosy.errors import ArgosyError, Conflict, InvalidParameter, NotFound
from argosy.image import whiteout
from argosy.image.durability import sync_filesystem
from argosy.image.layer_apply import Applied, apply_layer, count, inherit_attributes
from argosy.image.layer_diff import diff_layer
from argosy.image.placement import Places, spread_subdirectories
from argosy.image.remove_tree import remove_tree
from argosy.image.snapshot import Info, Mount, Usage
from argosy.image.tar import Source

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAGE = 4096
_PARAMETERS = "/sys/module/overlay/parameters"


class _Meta(msgspec.Struct, frozen=True):
    """`root` is the mode, owner and group of the root directory, which an upper directory repeats."""

    name: str
    parent: str | None
    link: str
    size: int
    inodes: int
    root: tuple[int, int, int]
    boot: str = ""


class _Active(msgspec.Struct, frozen=True):
    parent: str | None
    writable: bool


class OverlaySnapshotter:
    """See `snapshot.Snapshotter`. `links` is where the short paths go; choose a short one."""

    driver = "overlay2"

    def __init__(self, root: str, *, links: str | None = None, userxattr: bool = False) -> None:
        base = os.path.join(root, "snapshots")
        self._base = base
        self._committed_dir = os.path.join(base, "committed")
        self._active_dir = os.path.join(base, "active")
        self._staging_dir = os.path.join(base, "staging")
        self._trash_dir = os.path.join(base, "trash")
        self._links_dir = links or os.path.join(root, "l")
        # Containers' users other than root pass through these on some paths, and see nothing.
        for directory in (
            self._committed_dir,
            self._active_dir,
            self._staging_dir,
            self._trash_dir,
            self._links_dir,
        ):
            os.makedirs(directory, mode=0o711, exist_ok=True)
        # Containers come and go here: see `placement` for why they must not share a place on the disk.
        spread_subdirectories(self._active_dir)
        self._places = Places(self._staging_dir)
        self._userxattr = userxattr
        self._opaque = whiteout.USER_OPAQUE if userxattr else whiteout.TRUSTED_OPAQUE
        self._fixed_options = _fixed_options(userxattr)
        self._boot = _boot_id()
        self._lock = threading.Lock()
        self._committed: dict[str, _Meta] = {}
        self._active: dict[str, _Active] = {}
        self._staged: dict[str, Applied] = {}
        self._next_link = 0
        self._sync_lock = threading.Lock()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._load()
        self._worker = threading.Thread(target=self._run, name="snapshots", daemon=True)
        self._worker.start()

    # What is active

    def prepare(self, key: str, parent: str | None) -> list[Mount]:
        return self._make(key, _Active(parent, writable=True))

    def view(self, key: str, parent: str | None) -> list[Mount]:
        return self._make(key, _Active(parent, writable=False))

    def mounts(self, key: str) -> list[Mount]:
        with self._lock:
            active = self._active.get(key)
            if active is None:
                raise _missing(key)
            return self._mounts(key, active)

    def stage(self, key: str, layer: Source) -> Usage:
        directory = os.path.join(self._staging_dir, _checked(key))
        with self._lock:
            self._require_free(key)
            self._places.make_directory(key, 0o700)
        tree = os.path.join(directory, "fs")
        try:
            os.mkdir(tree)
            os.chmod(tree, 0o755)
            applied = apply_layer(tree, layer, self._opaque)
        except BaseException:
            self._discard(directory)
            raise
        with self._lock:
            self._staged[key] = applied
        return Usage(applied.size, applied.inodes)

    def commit(self, name: str, key: str, parent: str | None = None) -> None:
        with self._lock:
            applied = self._staged.get(key)
            active = self._active.get(key)
            if applied is None and (active is None or not active.writable):
                raise _missing(key)
        if active is not None:
            parent = active.parent
        if self.exists(name):
            self.remove(key)
            return
        if applied is not None:
            directory = os.path.join(self._staging_dir, key)
            tree = os.path.join(directory, "fs")
            inherit_attributes(tree, applied.implied, self._trees(parent))
            size, inodes = applied.size, applied.inodes
        else:
            directory = os.path.join(self._staging_dir, os.urandom(12).hex())
            os.mkdir(directory, 0o700)
            tree = os.path.join(directory, "fs")
            os.rename(os.path.join(self._active_dir, key, "upper"), tree)
            size, inodes = _count(tree)
        status = os.stat(tree)
        root = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        with self._lock:
            self._require_parent(parent)
            if name in self._committed:
                self._discard(directory)
            else:
                meta = _Meta(name, parent, self._new_link(), size, inodes, root, self._boot)
                os.chmod(directory, 0o711)
                _write_meta(directory, meta)
                os.symlink(self._tree(name), os.path.join(self._links_dir, meta.link))
                os.rename(directory, self._committed_path(name))
                self._committed[name] = meta
            self._staged.pop(key, None)
            if self._active.pop(key, None) is not None:
                self._discard(os.path.join(self._active_dir, key))
        self._work.put(self._mark_synced)

    def diff(self, key_or_name: str, write: Callable[[bytes], object]) -> None:
        with self._lock:
            tree = self._own_tree(key_or_name)
        diff_layer(tree, write)

    # What there is

    def usage(self, key_or_name: str) -> Usage:
        with self._lock:
            meta = self._committed.get(key_or_name)
            if meta is not None:
                return Usage(meta.size, meta.inodes)
            applied = self._staged.get(key_or_name)
            if applied is not None:
                return Usage(applied.size, applied.inodes)
            tree = self._own_tree(key_or_name)
        return Usage(*_count(tree))

    def exists(self, key_or_name: str) -> bool:
        with self._lock:
            return self._is_taken(key_or_name)

    def walk(self) -> Iterator[Info]:
        with self._lock:
            committed = list(self._committed.values())
            active = list(self._active.items())
        for meta in committed:
            yield Info(meta.name, meta.parent, True)
        for key, snapshot in active:
            yield Info(key, snapshot.parent, False)

    def describe(self, key_or_name: str) -> dict[str, str]:
        with self._lock:
            if key_or_name in self._committed:
                meta = self._committed[key_or_name]
                data = {"UpperDir": self._tree(key_or_name)}
                parent = meta.parent
            elif key_or_name in self._active:
                directory = os.path.join(self._active_dir, key_or_name)
                data = {
                    "UpperDir": os.path.join(directory, "upper"),
                    "WorkDir": os.path.join(directory, "work"),
                }
                parent = self._active[key_or_name].parent
            else:
                raise _missing(key_or_name)
            lower = [self._tree(meta.name) for meta in self._chain(parent)]
        return {"LowerDir": ":".join(lower), **data} if lower else data

    # What goes

    def remove(self, key_or_name: str) -> None:
        with self._lock:
            if key_or_name in self._committed:
                self._remove_committed(key_or_name)
            elif self._active.pop(key_or_name, None) is not None:
                self._discard(os.path.join(self._active_dir, key_or_name))
            elif self._staged.pop(key_or_name, None) is not None:
                self._discard(os.path.join(self._staging_dir, key_or_name))

    def sync(self) -> None:
        self._mark_synced()

    def close(self) -> None:
        self._work.put(None)
        self._worker.join()

    def _remove_committed(self, name: str) -> None:
        standing = [meta.name for meta in self._committed.values() if meta.parent == name]
        standing += [key for key, active in self._active.items() if active.parent == name]
        if standing:
            raise Conflict(f"snapshot {name} is the parent of {standing[0]}")
        meta = self._committed.pop(name)
        os.unlink(os.path.join(self._links_dir, meta.link))
        self._places.avoid(self._tree(name))
        self._discard(self._committed_path(name))

    def _discard(self, directory: str) -> None:
        """Out of the way at once, deleted soon."""
        trash = os.path.join(self._trash_dir, os.urandom(12).hex())
        os.rename(directory, trash)
        self._work.put(lambda: remove_tree(trash))

    def _run(self) -> None:
        while (job := self._work.get()) is not None:
            try:
                job()
            except OSError:
                # Left in the trash, which the next start empties; or unsynced, which it notices.
                continue

    def _mark_synced(self) -> None:
        with self._sync_lock:
            with self._lock:
                fresh = [meta for meta in self._committed.values() if meta.boot]
            if not fresh:
                return
            sync_filesystem(self._base)
            for meta in fresh:
                with self._lock:
                    if self._committed.get(meta.name) is meta:
                        synced = msgspec.structs.replace(meta, boot="")
                        _write_meta(self._committed_path(meta.name), synced)
                        self._committed[meta.name] = synced

    # Making and mounting. With the lock held.

    def _make(self, key: str, active: _Active) -> list[Mount]:
        directory = os.path.join(self._active_dir, _checked(key))
        with self._lock:
            self._require_free(key)
            self._require_parent(active.parent)
            mounts = self._mounts(key, active)
            os.mkdir(directory, 0o711)
            if active.parent is not None:
                os.symlink(active.parent, directory + "/parent")
            if active.writable:
                upper = directory + "/upper"
                os.mkdir(upper)
                mode, uid, gid = self._committed[active.parent].root if active.parent else (0o755, 0, 0)
                if uid or gid:
                    os.chown(upper, uid, gid)
                os.chmod(upper, mode)
            # The last one made says that the snapshot is whole.
            os.mkdir(directory + ("/work" if active.writable else "/empty"), 0o755)
            self._active[key] = active
        return mounts

    def _mounts(self, key: str, active: _Active) -> list[Mount]:
        directory = f"{self._active_dir}/{key}"
        lower = [f"{self._links_dir}/{meta.link}" for meta in self._chain(active.parent)]
        if not active.writable and len(lower) <= 1:
            return [Mount("bind", lower[0] if lower else directory + "/empty", ("rbind", "ro"))]
        if not lower:
            return [Mount("bind", directory + "/upper", ("rbind", "rw"))]
        options = ["lowerdir=" + ":".join(_escape(path, ":,\\") for path in lower)]
        if active.writable:
            options.append("upperdir=" + _escape(directory + "/upper", ",\\"))
            options.append("workdir=" + _escape(directory + "/work", ",\\"))
            options += self._fixed_options
        elif self._userxattr:
            options.append("userxattr")
        if len(",".join(options)) >= _PAGE:
            raise InvalidParameter(
                f"max depth exceeded: {len(lower)} layers do not fit into one mount",
                hint=f"a shorter path than {self._links_dir} leaves room for more",
            )
        return [Mount("overlay", "overlay", tuple(options if active.writable else [*options, "ro"]))]

    def _chain(self, name: str | None) -> list[_Meta]:
        """The committed snapshots from `name` down."""
        chain = []
        while name is not None:
            meta = self._committed.get(name)
            if meta is None:
                raise NotFound(f"parent snapshot {name} does not exist")
            chain.append(meta)
            name = meta.parent
        return chain

    def _trees(self, name: str | None) -> list[str]:
        with self._lock:
            self._require_parent(name)
            return [self._tree(meta.name) for meta in self._chain(name)]

    def _require_free(self, key: str) -> None:
        if self._is_taken(key):
            raise Conflict(f"snapshot {key} already exists")

    def _require_parent(self, parent: str | None) -> None:
        if parent is not None and parent not in self._committed:
            raise NotFound(f"parent snapshot {parent} does not exist")

    def _is_taken(self, text: str) -> bool:
        return text in self._active or text in self._committed or text in self._staged

    def _own_tree(self, key_or_name: str) -> str:
        if key_or_name in self._committed:
            return self._tree(key_or_name)
        if key_or_name in self._active:
            own = "upper" if self._active[key_or_name].writable else "empty"
            return os.path.join(self._active_dir, key_or_name, own)
        if key_or_name in self._staged:
            return os.path.join(self._staging_dir, key_or_name, "fs")
        raise _missing(key_or_name)

    def _committed_path(self, name: str) -> str:
        return os.path.join(self._committed_dir, _checked(name.removeprefix("sha256:")))

    def _tree(self, name: str) -> str:
        return self._committed_path(name) + "/fs"

    def _new_link(self) -> str:
        number = self._next_link
        self._next_link += 1
        text = ""
        while number or not text:
            number, digit = divmod(number, len(_DIGITS))
            text = _DIGITS[digit] + text
        return text

    # The start

    def _load(self) -> None:
        for directory in (self._staging_dir, self._trash_dir):
            for name in os.listdir(directory):
                remove_tree(os.path.join(directory, name))
        self._load_committed()
        self._load_active()
        links = {meta.link: self._tree(meta.name) for meta in self._committed.values()}
        for link in os.listdir(self._links_dir):
            path = os.path.join(self._links_dir, link)
            if os.readlink(path) == links.get(link):
                del links[link]
            else:
                os.unlink(path)
        for link, tree in links.items():
            os.symlink(tree, os.path.join(self._links_dir, link))
        self._next_link = max((int(meta.link, 36) + 1 for meta in self._committed.values()), default=0)

    def _load_committed(self) -> None:
        found: dict[str, _Meta] = {}
        for name in os.listdir(self._committed_dir):
            directory = os.path.join(self._committed_dir, name)
            try:
                with open(directory + "/meta", "rb") as file:
                    meta = msgspec.json.decode(file.read(), type=_Meta)
            except (OSError, msgspec.DecodeError):
                remove_tree(directory)
                continue
            if meta.boot in ("", self._boot):
                found[meta.name] = meta
            else:
                remove_tree(directory)
        for name, meta in list(found.items()):
            if self._stands(meta, found):
                self._committed[name] = meta
            else:
                remove_tree(self._committed_path(name))

    def _stands(self, meta: _Meta, found: dict[str, _Meta]) -> bool:
        while meta.parent is not None:
            if meta.parent not in found:
                return False
            meta = found[meta.parent]
        return True

    def _load_active(self) -> None:
        for key in os.listdir(self._active_dir):
            directory = os.path.join(self._active_dir, key)
            present = os.listdir(directory)
            if ("work" in present and "upper" in present) or "empty" in present:
                parent = os.readlink(directory + "/parent") if "parent" in present else None
                self._active[key] = _Active(parent, writable="work" in present)
            else:
                remove_tree(directory)


def _fixed_options(userxattr: bool) -> list[str]:
    """What keeps an upper directory readable as a layer, where the kernel's default is otherwise:
    without it, a renamed directory or a changed mode is a reference to the layers below."""
    options = ["userxattr"] if userxattr else []
    for parameter in ("index", "metacopy", "redirect_dir"):
        try:
            with open(f"{_PARAMETERS}/{parameter}") as file:
                enabled = file.read(1) == "Y"
        except OSError:
            continue
        if enabled:
            options.append(f"{parameter}=off")
    return options


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _write_meta(directory: str, meta: _Meta) -> None:
    path = directory + "/meta"
    with open(path + ".new", "wb") as file:
        file.write(msgspec.json.encode(meta))
    os.rename(path + ".new", path)


def _count(tree: str) -> tuple[int, int]:
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return count(descriptor)
    finally:
        os.close(descriptor)


def _checked(key: str) -> str:
    """A key becomes a file name."""
    if not key or len(key) > 200 or key in (".", "..") or "/" in key or "\0" in key:
        raise InvalidParameter(f"invalid snapshot key {key!r}")
    return key


def _escape(path: str, special: str) -> str:
    return "".join("\\" + character if character in special else character for character in path)


def _missing(key_or_name: str) -> ArgosyError:
    return NotFound(f"snapshot {key_or_name} does not exist")
