"""Snapshots: the states of a root file system.

The life of a snapshot. An image's layers stand on one another, and the digest of such a stack is its
chain ID. A layer comes in by `stage`, under a `key` of the caller's choice: it needs no parent for that,
so all layers of an image can be staged at once while they are still being downloaded. `commit` then
puts it on its parent under its `name`, the chain ID: it is immutable from then on, and can itself be a
parent. A container's root is an active snapshot, `prepare`d on its image's chain; its `diff` is the tar
of a new layer. When a container goes, `remove` its key. A `view` is an active snapshot that nobody can
write to.

Nothing above this package may assume that a committed snapshot is a directory: what `prepare`, `view`
and `mounts` return is a list of mounts to be made one over the other at one place, by the one who needs
them, in a mount namespace of its choice. The snapshotter itself mounts nothing.

What a crash leaves. An active snapshot exists from the return of `prepare`, a committed one whole or not
at all; what was staged or half done is gone. A power cut may also take committed snapshots that were
not `sync`ed yet, whole: whoever commits keeps the layer's content, which is durable, and stages it
again.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from argosy.image.layer_changes import Change
from argosy.image.tar import Source


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount(2), options as mount(8) spells them.

    `%N` among an overlay's lower layers is the root of the list's Nth mount, counted from 0.
    """

    type: str
    source: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a snapshot holds itself, its parents not included."""

    size: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Info:
    """`id` is a key or a name."""

    id: str
    parent: str | None
    committed: bool


class Snapshotter(Protocol):
    """Thread-safe. Raises NotFound for an unknown key, name or parent, Conflict for one that is taken."""

    @property
    def driver(self) -> str:
        """The name in `docker info` and in an image's GraphDriver."""

    def prepare(self, key: str, parent: str | None) -> list[Mount]:
        """Make an active snapshot. Not synced: a power cut may lose it, a crash does not."""

    def view(self, key: str, parent: str | None) -> list[Mount]:
        """As `prepare`, read-only."""

    def mounts(self, key: str) -> list[Mount]: ...

    def stage(self, key: str, layer: Source) -> Usage:
        """Lay down a layer's tar, read to its end, to be committed or removed."""

    def commit(self, name: str, key: str, parent: str | None, blob: str) -> None:
        """Turn the staged `key` into the committed `name`; the key is gone. `blob` is the digest of the
        layer's tar, which is in the content store and stays there as long as the snapshot.

        Idempotent in the name: if it is there already, the key is removed and nothing else happens.
        """

    def compact(self, name: str) -> None:
        """Say that containers are made of a committed snapshot: what makes their mounts quicker may be done
        in the background."""

    def diff(
        self,
        key: str,
        write: Callable[[bytes], object],
        left_out: Collection[bytes] = (),
        latest: int | None = None,
    ) -> None:
        """The layer tar that leads from its parent to the active snapshot. `left_out` and `latest`: see
        `diff_layer`."""

    def changes(self, key: str, base: int, left_out: Collection[bytes] = ()) -> list[Change]:
        """What differs from its parent, whose tree `base` is a descriptor of. `left_out`: as `diff`."""

    def remove(self, key_or_name: str) -> None:
        """Idempotent. Raises Conflict while something stands on the name."""

    def usage(self, key_or_name: str, left_out: Collection[bytes] = ()) -> Usage:
        """Of what it has changed. `left_out`: links there were made by the engine."""

    def exists(self, key_or_name: str) -> bool: ...

    def walk(self) -> Iterator[Info]: ...

    def describe(self, key_or_name: str) -> dict[str, str]:
        """The driver's `Data` in inspect; for people, not for programs."""

    def allocated(self, name: str) -> int:
        """The bytes that a committed snapshot takes on the disk beside its layer's tar."""

    def verify(self, name: str) -> None:
        """Read a committed snapshot through. Raises ArgosyError for one that is damaged."""

    def sync(self) -> None:
        """Return when everything committed so far would survive a power cut."""

    def close(self) -> None:
        """Finish what goes on in the background."""
