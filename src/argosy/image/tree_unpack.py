"""A tar laid down in a tree that is there already, as `docker cp` does into a container.

As `layer_apply`, with the root that names are resolved in above the place that they are laid down at:
symbolic links in the tree are followed, and lead nowhere else. Whiteouts mean nothing here.
"""

import contextlib
import os
import stat

from argosy.errors import InvalidParameter
from argosy.image import tar
from argosy.image.layer_apply import Applier, clean
from argosy.image.tar import Entry, Source, TarReader


def unpack(
    root: int,
    place: str,
    archive: Source,
    *,
    keep_kinds: bool = False,
    owner: tuple[int, int] | None = None,
    name: bytes = b"",
    called: str = "",
) -> None:
    """Lay `archive` down in the directory `place` inside `root`, a descriptor, reading it to its end.

    `keep_kinds`: no directory takes the place of something else, nor the other way
    round. `owner` takes the place of those in the archive, `name` that of what all entries are below.
    `called` is the place in errors. Raises InvalidParameter for a tar that is damaged, or against
    `keep_kinds`; OSError.
    """
    unpacker = _Unpacker(root, os.fsencode(place), keep_kinds, owner, name, called or place)
    try:
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
            self._directories[path] = entry

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
