"""The snapshotter that unpacks each layer once into a directory, and stacks directories with overlay.

    snapshots/committed/<hex of name>/fs      the layer, whiteouts as overlay wants them
                                     /meta    parent, link, usage: `_Meta` as JSON
    snapshots/active, trash                   see `stacked`
    snapshots/staging/<key>/fs                not yet committed, lost with the process
    l/<link> → …/committed/<hex>/fs           a short path: mount(2) takes one page of options, and 127
                                              lower directories must fit in it

A committed snapshot carries in `meta` the ID of the boot that it was committed in, until it is known to
be on the disk: found after another boot, its files may be cut off anywhere, and it is thrown away.
"""

import os
import stat
import threading

import msgspec

from argosy.image import whiteout
from argosy.image.durability import sync_filesystem
from argosy.image.layer_apply import Applied, apply_layer, drop_vain_whiteouts, inherit_attributes
from argosy.image.placement import Places
from argosy.image.snapshot import Mount, Usage
from argosy.image.stacked import StackedSnapshotter, checked, lower_option, missing, stands
from argosy.image.tar import Source
from argosy.linux.remove_tree import remove_tree

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class _Meta(msgspec.Struct, frozen=True):
    name: str
    parent: str | None
    link: str
    size: int
    inodes: int
    root: tuple[int, int, int]
    boot: str = ""


class OverlaySnapshotter(StackedSnapshotter[_Meta]):
    """See `snapshot.Snapshotter`. `links` is where the short paths go; choose a short one."""

    driver = "overlay2"

    def __init__(self, root: str, *, links: str | None = None, userxattr: bool = False) -> None:
        base = os.path.join(root, "snapshots")
        super().__init__(base, userxattr=userxattr)
        self._committed_dir = os.path.join(base, "committed")
        self._staging_dir = os.path.join(base, "staging")
        self._links_dir = links or os.path.join(root, "l")
        for directory in (self._committed_dir, self._staging_dir, self._links_dir):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        self._places = Places(self._staging_dir)
        self._opaque = whiteout.USER_OPAQUE if userxattr else whiteout.TRUSTED_OPAQUE
        self._boot = boot_id()
        self._applied: dict[str, Applied] = {}
        self._next_link = 0
        self._sync_lock = threading.Lock()
        self._load()

    def stage(self, key: str, layer: Source) -> Usage:
        directory = os.path.join(self._staging_dir, checked(key))
        with self._lock:
            self._require_free(key)
            self._places.make_directory(key, 0o700)
        tree = os.path.join(directory, "fs")
        try:
            os.mkdir(tree)
            os.chmod(tree, 0o755)
            applied = apply_layer(tree, layer, self._opaque)
        except BaseException:
            self._trash.discard(directory)
            raise
        usage = Usage(applied.size, applied.inodes)
        with self._lock:
            self._applied[key] = applied
            self._staged[key] = usage
        return usage

    def commit(self, name: str, key: str, parent: str | None, blob: str) -> None:
        with self._lock:
            applied = self._applied.get(key)
            if applied is None:
                raise missing(key)
            if name in self._committed:
                self.remove(key)
                return
            lowers = [self._tree(meta.name) for meta in self._chain(parent)]
        directory = os.path.join(self._staging_dir, key)
        tree = os.path.join(directory, "fs")
        drop_vain_whiteouts(tree, applied.whiteouts, lowers)
        inherit_attributes(tree, applied.implied, lowers)
        status = os.stat(tree)
        root = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
        with self._lock:
            self._require_parent(parent)
            if name in self._committed:
                self.remove(key)
                return
            meta = _Meta(name, parent, self._new_link(), applied.size, applied.inodes, root, self._boot)
            _write_meta(directory, meta)
            os.symlink(self._tree(name), os.path.join(self._links_dir, meta.link))
            os.rename(directory, self._committed_path(name))
            self._committed[name] = meta
            del self._staged[key], self._applied[key]
        self._trash.later(self.sync)

    def compact(self, name: str) -> None:
        """Nothing to do: what is unpacked stays as it is."""

    def describe(self, key_or_name: str) -> dict[str, str]:
        with self._lock:
            if key_or_name in self._committed:
                data = {"UpperDir": self._tree(key_or_name)}
                parent = self._committed[key_or_name].parent
            elif key_or_name in self._active:
                data = self._describe_active(key_or_name)
                parent = self._active[key_or_name].parent
            else:
                raise missing(key_or_name)
            lower = [self._tree(meta.name) for meta in self._chain(parent)]
        return {"LowerDir": ":".join(lower), **data} if lower else data

    def sync(self) -> None:
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

    def allocated(self, name: str) -> int:
        with self._lock:
            return self._committed[name].size if name in self._committed else 0

    def verify(self, name: str) -> None:
        """A directory has nothing to compare it with."""

    # With the lock held

    def _lower(self, chain: list[_Meta]) -> tuple[list[Mount], list[str]]:
        return [], [lower_option(f"{self._links_dir}/{meta.link}") for meta in chain]

    def _forget_committed(self, committed: _Meta) -> None:
        os.unlink(os.path.join(self._links_dir, committed.link))
        self._places.avoid(self._tree(committed.name))
        self._trash.discard(self._committed_path(committed.name))

    def _forget_staged(self, key: str) -> None:
        del self._applied[key]
        self._trash.discard(os.path.join(self._staging_dir, key))

    def _committed_path(self, name: str) -> str:
        return os.path.join(self._committed_dir, checked(name.removeprefix("sha256:")))

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
        for name in os.listdir(self._staging_dir):
            remove_tree(os.path.join(self._staging_dir, name))
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
        for name, meta in found.items():
            if stands(meta, found):
                self._committed[name] = meta
            else:
                remove_tree(self._committed_path(name))


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _write_meta(directory: str, meta: _Meta) -> None:
    path = directory + "/meta"
    with open(path + ".new", "wb") as file:
        file.write(msgspec.json.encode(meta))
    os.rename(path + ".new", path)
