"""Directories over a call, by the protocol of tonistiigi/fsutil.

    sender                          receiver
    STAT for each entry, in order   REQUEST for each file that it does not have
    STAT without an entry           ...
    DATA of the files asked for, an empty one at each file's end
                                    FINISH
    FINISH

A file is named by its number among the STATs. What a peer sends is believed in nothing: names are looked at,
every parent is one that was announced as a directory, no link is followed, devices are refused.
"""

import contextlib
import os
import stat
from collections import deque
from collections.abc import Callable

from argosy.api.buildkit.connection import Call
from argosy.errors import InvalidParameter
from argosy.linux.path import O_PATH, open_in_root
from argosy.linux.remove_tree import remove_at
from argosy.spec.buildkit import DATA, ERROR, FINISH, REQUEST, STAT, Packet, Stat
from argosy.wire import protobuf

# Go's os.FileMode
GO_DIRECTORY, GO_LINK, GO_DEVICE, GO_PIPE, GO_SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
GO_SETUID, GO_SETGID, GO_CHARACTER, GO_STICKY, GO_IRREGULAR = 1 << 23, 1 << 22, 1 << 21, 1 << 20, 1 << 19
_GO_TYPE = GO_DIRECTORY | GO_LINK | GO_DEVICE | GO_PIPE | GO_SOCKET | GO_CHARACTER | GO_IRREGULAR
_LONGEST_PATH = 4096
_MAXIMUM_ENTRIES = 5_000_000
# A sender takes up few requests at a time; one that asks for all files at once would wait for it forever.
_MAXIMUM_REQUESTS = 256
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Hostile(InvalidParameter):
    """What a peer sent is not what a well-meaning one sends."""


class Receiver:
    """Makes what is below `root`, a directory's descriptor, the same as what the peer has.

    What is the same already stays. After a failure the directory is in no state to be used.
    """

    def __init__(self, call: Call, root: int, count: Callable[[int], object]) -> None:
        """`count` is told how many bytes have come in."""
        self._call = call
        self._root = root
        self._count = count
        self._bytes = 0
        self._number = 0
        self._directories: dict[str, Stat] = {"": Stat()}
        self._regular: set[str] = set()
        self._kept: dict[str, set[str]] = {"": set()}
        self._links: list[Stat] = []
        self._wanted: dict[int, Stat] = {}
        self._backlog: deque[int] = deque()
        self._requested = 0
        self._open: dict[int, int] = {}
        self._parent = ("", os.dup(root))

    def run(self) -> int:
        """Returns how many bytes came. Raises Hostile, RpcError, OSError."""
        try:
            listed = finished = False
            for message in self._call:
                self._bytes += len(message)
                packet = packet_of(message)
                if packet.type == STAT and packet.stat is not None and not listed:
                    self._entry(packet.stat)
                elif packet.type == STAT and packet.stat is None:
                    listed = True
                elif packet.type == DATA:
                    self._data(packet)
                elif packet.type == ERROR:
                    raise InvalidParameter(f"error from sender: {packet.data.decode(errors='replace')}")
                elif packet.type != FINISH or not finished:
                    raise Hostile("a packet that is out of turn")
                if listed and not self._wanted and not finished:
                    finished = True
                    self._settle()
                    self._send(Packet(type=FINISH))
                    self._call.end()
                self._count(self._bytes)
            if not finished:
                raise Hostile("the transfer ended before its end")
            return self._bytes
        except BaseException:
            self._call.cancel()
            raise
        finally:
            os.close(self._parent[1])
            for descriptor in self._open.values():
                os.close(descriptor)

    def _send(self, packet: Packet) -> None:
        self._call.send(protobuf.encode(packet))

    # An entry as it is announced

    def _entry(self, entry: Stat) -> None:
        number, self._number = self._number, self._number + 1
        if number > _MAXIMUM_ENTRIES:
            raise Hostile(f"more than {_MAXIMUM_ENTRIES} files")
        parent, name = _checked(entry.path)
        kept = self._kept.get(parent)
        if kept is None or name in kept:
            raise Hostile(f"{entry.path!r} comes without its directory, or twice")
        kind = entry.mode & _GO_TYPE
        if kind == GO_SOCKET:
            return
        kept.add(name)
        directory = self._enter(parent)
        if kind == GO_DIRECTORY:
            self._directories[entry.path] = entry
            self._kept[entry.path] = set()
            _make_directory(directory, name)
        elif kind == GO_LINK:
            _make_link(directory, name, entry)
        elif kind == GO_PIPE:
            _clear(directory, name)
            os.mkfifo(name, 0o600, dir_fd=directory)
            _set_mode(directory, name, permissions(entry.mode))
        elif kind:
            raise Hostile(f"{entry.path}: a special file cannot be part of a build context")
        elif entry.link_name:
            if entry.link_name not in self._regular:
                raise Hostile(f"{entry.path!r} is a link to {entry.link_name!r}, which is no file before it")
            self._links.append(entry)
        else:
            self._regular.add(entry.path)
            if not _same(directory, name, entry):
                self._wanted[number] = entry
                self._backlog.append(number)
                self._ask()

    def _enter(self, path: str) -> int:
        if self._parent[0] != path:
            descriptor = open_in_root(self._root, path, DIRECTORY)
            os.close(self._parent[1])
            self._parent = (path, descriptor)
        return self._parent[1]

    def _ask(self) -> None:
        while self._backlog and self._requested < _MAXIMUM_REQUESTS:
            self._requested += 1
            self._send(Packet(type=REQUEST, id=self._backlog.popleft()))

    # A file's contents

    def _data(self, packet: Packet) -> None:
        entry = self._wanted.get(packet.id)
        if entry is None:
            raise Hostile("contents of a file that nobody asked for")
        descriptor = self._open.get(packet.id)
        if descriptor is None:
            directory, name = self._enter(os.path.dirname(entry.path)), os.path.basename(entry.path)
            _clear(directory, name)
            descriptor = self._open[packet.id] = os.open(name, _NEW, 0o600, dir_fd=directory)
        if packet.data:
            write_all(descriptor, packet.data)
            return
        os.fchmod(descriptor, permissions(entry.mode))
        os.utime(descriptor, ns=(entry.modified, entry.modified))
        os.close(self._open.pop(packet.id))
        del self._wanted[packet.id]
        self._requested -= 1
        self._ask()

    # When everything is there

    def _settle(self) -> None:
        for entry in self._links:
            self._link(entry)
        for path in sorted(self._directories, reverse=True):
            directory = self._enter(path)
            kept = {os.fsencode(name) for name in self._kept[path]}
            for left in os.listdir(directory):
                if os.fsencode(left) not in kept:
                    remove_at(directory, os.fsencode(left))
            if path:
                entry = self._directories[path]
                os.fchmod(directory, permissions(entry.mode))
                os.utime(directory, ns=(entry.modified, entry.modified))

    def _link(self, entry: Stat) -> None:
        source = open_in_root(self._root, os.path.dirname(entry.link_name), DIRECTORY)
        try:
            directory, name = self._enter(os.path.dirname(entry.path)), os.path.basename(entry.path)
            target = os.path.basename(entry.link_name)
            wanted = os.stat(target, dir_fd=source, follow_symlinks=False)
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if found.st_ino == wanted.st_ino:
                    return
            _clear(directory, name)
            os.link(target, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(source)


def permissions(mode: int) -> int:
    """Go's bits as the kernel's, without the type."""
    found = mode & 0o777
    for go, ours in ((GO_SETUID, stat.S_ISUID), (GO_SETGID, stat.S_ISGID), (GO_STICKY, stat.S_ISVTX)):
        found |= ours if mode & go else 0
    return found


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def packet_of(message: bytes) -> Packet:
    """Raises Hostile."""
    try:
        return protobuf.decode(Packet, message)
    except protobuf.MalformedMessage as error:
        raise Hostile(f"a packet that is none: {error}") from None


def _checked(path: str) -> tuple[str, str]:
    """The directory and the name. Raises Hostile."""
    parts = path.split("/")
    if len(path) > _LONGEST_PATH or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise Hostile(f"invalid path {path[:_LONGEST_PATH]!r}")
    parent, _, name = path.rpartition("/")
    return parent, name


def _clear(directory: int, name: str) -> None:
    remove_at(directory, os.fsencode(name))


def _set_mode(directory: int, name: str, mode: int) -> None:
    handle = os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def _make_directory(directory: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            _clear(directory, name)
            os.mkdir(name, 0o700, dir_fd=directory)


def _make_link(directory: int, name: str, entry: Stat) -> None:
    with contextlib.suppress(OSError):
        if os.readlink(name, dir_fd=directory) == entry.link_name:
            return
    _clear(directory, name)
    os.symlink(entry.link_name, name, dir_fd=directory)
    os.utime(name, ns=(entry.modified, entry.modified), dir_fd=directory, follow_symlinks=False)


def _same(directory: int, name: str, entry: Stat) -> bool:
    """A file that was received before and is still what the peer has."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (
        stat.S_ISREG(found.st_mode)
        and found.st_nlink == 1
        and (found.st_size, found.st_mtime_ns) == (entry.size, entry.modified)
        and stat.S_IMODE(found.st_mode) == permissions(entry.mode)
    )
