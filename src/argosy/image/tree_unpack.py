"""A tar laid down in a tree that is there already, as `docker cp` does into a container.

As `layer_apply`, with the root that names are resolved in above the place that they are laid down at:
symbolic links in the tree are followed, and lead nowhere else. Whiteouts mean nothing here.

The tree may belong to a container that runs and moves things meanwhile. So directories are kept open until
they get their attributes, which a path might by then give to others; of very many the oldest get them
early, and by path nothing but a time.
"""

import contextlib
import os
import stat

from argosy.errors import InvalidParameter
from argosy.image import tar
from argosy.image.layer_apply import Applier, clean, set_attributes, set_directory
from argosy.image.tar import Entry, Source, TarReader
from argosy.linux.confinement import confine
from argosy.linux.path import DIRECTORY, O_PATH, open_in_root

_MOST_HELD = 256


def unpack(
    root: int,
    place: str,
    archive: Source,
    *,
    keep_kinds: bool = False,
    owner: tuple[int, int] | None = None,
    name: bytes = b"",
    called: str = "",
    confined: bool = False,
) -> None:
    """Lay `archive` down in the directory `place` inside `root`, a descriptor, reading it to its end.

    `keep_kinds`: no directory takes the place of something else, nor the other way
    round. `owner` takes the place of those in the archive, `name` that of what all entries are below.
    `called` is the place in errors. `confined`: the calling thread is to have no other root from here on
    (see `linux.confinement`). Raises InvalidParameter for a tar that is damaged, or against
    `keep_kinds`; OSError.
    """
    unpacker = _Unpacker(root, os.fsencode(place), keep_kinds, owner, name, called or place)
    try:
        if confined:
            unpacker.confine()
        unpacker.read(archive)
    except BaseException:
        # What has been laid down stays, with the owners and modes that it was to have.
        with contextlib.suppress(OSError):
            unpacker.finish_directories()
        raise
    finally:
        unpacker.close()


class _Unpacker(Applier):
    _failure = "failed to unpack"

    def __init__(
        self,
        root: int,
        place: bytes,
        keep_kinds: bool,
        owner: tuple[int, int] | None,
        name: bytes,
        called: str,
    ) -> None:
        super().__init__(root)
        self._place = clean(place)
        self._keep_kinds = keep_kinds
        self._to = owner
        self._name = name
        self._called = called
        self._confined = False
        self._held: dict[bytes, int] = {}

    def confine(self) -> None:
        confine(self._root)
        self._confined = True

    def close(self) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        super().close()

    def _note(self, entry: Entry, path: bytes, directory: int, name: bytes) -> None:
        super()._note(entry, path, directory, name)
        self._drop(path)
        if len(self._held) >= _MOST_HELD:
            oldest = next(iter(self._held))
            set_directory(self._held[oldest], self._directories[oldest])
            self._drop(oldest)
        self._held[path] = os.open(name, DIRECTORY, dir_fd=directory)

    def _drop(self, path: bytes) -> None:
        if path in self._held:
            os.close(self._held.pop(path))

    def _forget(self, path: bytes) -> None:
        super()._forget(path)
        self._drop(path)

    def finish_directories(self) -> None:
        for path, entry in self._directories.items():
            if path in self._held:
                set_directory(self._held[path], entry)
                continue
            # It has all but its time, which what came into it later has changed.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                descriptor = open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
                os.utime(descriptor, ns=(entry.mtime, entry.mtime))
                os.close(descriptor)

    def _set_attributes_of(self, handle: bytes, attributes: dict[bytes, bytes]) -> None:
        if not self._confined:
            super()._set_attributes_of(handle, attributes)
            return
        # The working directory is this thread's alone, and /proc is not the host's here.
        os.fchdir(self._handles)
        try:
            set_attributes(handle, attributes)
        finally:
            os.fchdir(self._root)

    def _apply(self, entry: Entry, reader: TarReader) -> None:
        path = self._placed(entry.name)
        if entry.type == tar.HARD_LINK:
            entry.link = self._placed(entry.link)
        if self._to is not None:
            entry.uid, entry.gid = self._to
        parent, name = os.path.split(path)
        if name and path != self._place:
            self._lay(entry, reader, parent, name, path)
        elif entry.type == tar.DIRECTORY:
            place = open_in_root(self._root, path, O_PATH | os.O_DIRECTORY)
            try:
                self._note(entry, path, place, b".")
            finally:
                os.close(place)

    def _placed(self, name: bytes) -> bytes:
        if self._name:
            # Of the root directory, entries begin with a slash.
            name = self._name + b"/" + name.partition(b"/")[2]
        below = clean(name)
        return self._place + b"/" + below if self._place and below else self._place or below

    def _make_way(self, entry: Entry, directory: int, path: bytes, name: bytes) -> bool:
        if self._keep_kinds:
            present = stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
            shown = os.fsdecode(path[len(self._place) :].lstrip(b"/"))
            if present and entry.type != tar.DIRECTORY:
                raise InvalidParameter(
                    f'cannot overwrite directory "{shown}" with non-directory "{self._called}"'
                )
            if not present and entry.type == tar.DIRECTORY:
                raise InvalidParameter(
                    f'cannot overwrite non-directory "{shown}" with directory "{self._called}"'
                )
        return super()._make_way(entry, directory, path, name)
