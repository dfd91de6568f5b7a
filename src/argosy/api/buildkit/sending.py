"""The sending end of `transfer`: what a build made, for a client; or a client's directory, for an engine."""

import errno
import io
import itertools
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import BinaryIO, Protocol

from argosy.api.buildkit.connection import Call, RpcError
from argosy.api.buildkit.transfer import (
    DIRECTORY,
    GO_CHARACTER,
    GO_DEVICE,
    GO_DIRECTORY,
    GO_LINK,
    GO_PIPE,
    GO_SETGID,
    GO_SETUID,
    GO_STICKY,
    packet_of,
)
from argosy.build.release import OutputTree
from argosy.errors import InvalidParameter
from argosy.linux.path import open_in_root
from argosy.spec.buildkit import DATA, ERROR, FINISH, REQUEST, STAT, Packet, Stat
from argosy.wire import protobuf

_CHUNK = 32 << 10
_NO_LINKS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Exclusion(Protocol):
    """As `build.ignore.Ignore`."""

    def excluded(self, path: str) -> bool: ...

    def may_skip_directory(self, path: str) -> bool: ...


class Sender:
    """Trees, for the peer's Receiver; without what `ignore` excludes."""

    def __init__(self, call: Call, trees: Sequence[OutputTree], ignore: Exclusion | None = None) -> None:
        self._ignore = ignore
        self._call = call
        self._trees = sorted(trees, key=lambda each: each.prefix)
        # What may be asked for: a file of a tree's root, or what it contains.
        self._contents: dict[int, tuple[int, str] | bytes] = {}
        self._queue: SimpleQueue[int | None] = SimpleQueue()

    def run(self) -> None:
        """Raises RpcError, OSError."""
        failure: list[BaseException] = []

        def send() -> None:
            try:
                self._list()
                while (number := self._queue.get()) is not None:
                    self._answer(number)
            except (RpcError, OSError) as error:
                failure.append(error)
                self._call.cancel()

        sender = threading.Thread(target=send, name="transfer", daemon=True)
        sender.start()
        try:
            self._take_requests()
        except RpcError:
            if not failure:
                raise
        finally:
            self._queue.put(None)
            sender.join()
        if failure:
            raise failure[0]

    def _take_requests(self) -> None:
        for message in self._call:
            packet = packet_of(message)
            if packet.type == REQUEST:
                self._queue.put(packet.id)
            elif packet.type == FINISH:
                self._send(Packet(type=FINISH))
                self._call.end()
            elif packet.type == ERROR:
                raise InvalidParameter(f"error from receiver: {packet.data.decode(errors='replace')}")

    def _send(self, packet: Packet) -> None:
        self._call.send(protobuf.encode(packet))

    def _list(self) -> None:
        numbers = itertools.count()
        for tree in self._trees:
            prefix = f"{tree.prefix}/" if tree.prefix else ""
            if prefix:
                next(numbers)
                self._send(Packet(stat=Stat(tree.prefix, GO_DIRECTORY | 0o755)))
            for entry, contents in _entries(tree, prefix, self._ignore):
                number = next(numbers)
                if contents is not None:
                    self._contents[number] = contents
                self._send(Packet(stat=entry))
        self._send(Packet(type=STAT))

    def _answer(self, number: int) -> None:
        match self._contents.pop(number, b""):
            case bytes() as data:
                self._put(number, io.BytesIO(data))
            case (root, path):
                with open(open_in_root(root, path, _NO_LINKS), "rb") as file:
                    self._put(number, file)
        self._send(Packet(type=DATA, id=number))

    def _put(self, number: int, file: BinaryIO) -> None:
        while data := file.read(_CHUNK):
            self._send(Packet(type=DATA, id=number, data=data))


def _entries(
    tree: OutputTree, prefix: str, ignore: Exclusion | None
) -> Iterator[tuple[Stat, tuple[int, str] | bytes | None]]:
    """In order, with what is in those that are files. The tree's own `files` hide what is called the same."""
    inodes: dict[tuple[int, int], str] = {}
    extra = sorted(tree.files, key=os.fsencode, reverse=True)
    for path, status in _walk(tree.root, "", ignore):
        # A name that comes after another one comes after all that is below that, too.
        while extra and "/" not in path and os.fsencode(extra[-1]) < os.fsencode(path):
            yield _file_entry(tree, prefix, extra.pop())
        if path.partition("/")[0] in tree.files:
            continue
        entry = _entry_of(tree.root, path, status)
        entry.path = prefix + path
        contents = None
        if stat.S_ISREG(status.st_mode):
            contents = tree.root, path
            if status.st_nlink > 1:
                first = inodes.setdefault((status.st_dev, status.st_ino), entry.path)
                entry.link_name = first if first != entry.path else ""
        yield entry, contents
    while extra:
        yield _file_entry(tree, prefix, extra.pop())


def _file_entry(tree: OutputTree, prefix: str, name: str) -> tuple[Stat, bytes]:
    data = tree.files[name]
    return Stat(prefix + name, 0o644, size=len(data)), data


def _walk(root: int, path: str, ignore: Exclusion | None) -> Iterator[tuple[str, os.stat_result]]:
    """In the order that receivers insist on: a directory's contents come right after it.

    A directory that is excluded comes before what in it is not.
    """
    descriptor = open_in_root(root, path, DIRECTORY)
    try:
        names = sorted(os.listdir(descriptor), key=os.fsencode)
        found = [(name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)) for name in names]
    finally:
        os.close(descriptor)
    for name, status in found:
        below = f"{path}/{name}" if path else name
        if stat.S_ISSOCK(status.st_mode):
            continue
        is_directory = stat.S_ISDIR(status.st_mode)
        inner: Iterator[tuple[str, os.stat_result]] = iter(())
        if is_directory and not (ignore is not None and ignore.may_skip_directory(below)):
            inner = _walk(root, below, ignore)
        if ignore is None or not ignore.excluded(below):
            yield below, status
        elif (first := next(inner, None)) is not None:
            yield below, status
            yield first
        yield from inner


_TYPES = {
    stat.S_IFDIR: GO_DIRECTORY,
    stat.S_IFLNK: GO_LINK,
    stat.S_IFIFO: GO_PIPE,
    stat.S_IFBLK: GO_DEVICE,
    stat.S_IFCHR: GO_DEVICE | GO_CHARACTER,
}


def _entry_of(root: int, path: str, status: os.stat_result) -> Stat:
    mode = status.st_mode & 0o777 | _TYPES.get(stat.S_IFMT(status.st_mode), 0)
    for ours, go in ((stat.S_ISUID, GO_SETUID), (stat.S_ISGID, GO_SETGID), (stat.S_ISVTX, GO_STICKY)):
        mode |= go if status.st_mode & ours else 0
    entry = Stat(path, mode, status.st_uid, status.st_gid, modified=status.st_mtime_ns)
    if stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
    elif stat.S_ISLNK(status.st_mode):
        entry.link_name = _target(root, path)
        entry.size = len(os.fsencode(entry.link_name))
    elif _TYPES.get(stat.S_IFMT(status.st_mode), 0) & GO_DEVICE:
        entry.device_major, entry.device_minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return entry


def _target(root: int, path: str) -> str:
    parent = open_in_root(root, os.path.dirname(path), DIRECTORY)
    try:
        return os.readlink(os.path.basename(path), dir_fd=parent)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return ""
        raise
    finally:
        os.close(parent)
