"""Random layers, and what a tree looks like to whoever walks it."""

import io
import os
import random
import stat
import tarfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Member = tuple[tarfile.TarInfo, bytes]
Description = dict[bytes, tuple[Any, ...]]

# Few names, so that entries meet: in one layer and from layer to layer.
_NAMES = ("a", "b", "long-" + "n" * 95, "ä ö", "\udcff", "usr", "x" * 255)
_SIZES = (0, 1, 511, 512, 513, 4095, 70_000)
_ACL = bytes.fromhex("0200000001000600ffffffff04000400ffffffff10000600ffffffff20000400ffffffff")
_ATTRIBUTES: tuple[dict[str, bytes], ...] = (
    {},
    {},
    {"user.note": b"\xff\x00text"},
    {"security.capability": bytes.fromhex("0100000200040000000000000000000000000000")},
    {"user.a": b"1", "user.long": b"x" * 2000, "trusted.t": b""},
    {"system.posix_acl_access": _ACL},
)
_MTIMES = ("0", "1700000000.123456789", "1234.5", "-1.5", "4294967296")
paths = st.lists(st.sampled_from(_NAMES[:6]), min_size=1, max_size=3).map("/".join)


@st.composite
def members(draw: st.DrawFn, *, lower: bool = True) -> Member:
    """An entry of a layer that has others below it, if `lower`."""
    path = draw(paths)
    made = tarfile.TarInfo(path)
    made.uid = draw(st.sampled_from((0, 1000, 70_000, 3_000_000_000)))
    made.gid = draw(st.sampled_from((0, 5)))
    made.mode = draw(st.sampled_from((0o644, 0o755, 0o4755, 0o1777, 0o2000, 0)))
    made.pax_headers = {"mtime": draw(st.sampled_from(_MTIMES))}
    data = b""
    kinds = ["file", "file", "directory", "symlink", "hard", "fifo", "device", "whiteout", "opaque"]
    kind = draw(st.sampled_from(kinds if lower else kinds[:7]))
    if kind in ("file", "directory"):
        # GNU tar sets lists after the mode, everybody else before.
        attributes = draw(st.sampled_from(_ATTRIBUTES if lower else _ATTRIBUTES[:-1]))
        for name, value in attributes.items():
            made.pax_headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    if kind == "file":
        data = os.urandom(8) * (draw(st.sampled_from(_SIZES)) // 8)
        data += b"e" * draw(st.integers(0, 7))
    elif kind == "directory":
        made.type = tarfile.DIRTYPE
    elif kind == "symlink":
        made.type = tarfile.SYMTYPE
        made.linkname = draw(st.sampled_from(("a", "../b", "/usr", "nowhere", "l" * 600, "a/../b")))
    elif kind == "hard":
        made.type = tarfile.LNKTYPE
        made.linkname = draw(paths)
    elif kind == "fifo":
        made.type = tarfile.FIFOTYPE
    elif kind == "device":
        made.type = draw(st.sampled_from((tarfile.CHRTYPE, tarfile.BLKTYPE)))
        made.devmajor, made.devminor = draw(st.sampled_from(((1, 3), (8, 300), (259, 65_536))))
    elif kind == "whiteout":
        head, _, name = path.rpartition("/")
        made.name = f"{head}/.wh.{name}".lstrip("/")
        made.pax_headers = {}
    else:
        made.name = f"{path}/.wh..wh..opq"
        made.pax_headers = {}
    return made, data


def layers(*, lower: bool, distinct: bool = False) -> st.SearchStrategy[bytes]:
    """`distinct`: no two entries have the same name."""
    entries = st.lists(
        members(lower=lower), max_size=14, unique_by=(lambda member: member[0].name) if distinct else None
    )
    return entries.map(lambda drawn: Layer(tar_of(drawn)))


def random_stack(seed: random.Random, depth: int) -> list[bytes]:
    """Layers of plain entries, more of them than hypothesis likes to draw."""
    stack: list[bytes] = []
    for _ in range(depth):
        entries: list[Member] = []
        files: set[str] = set()
        for _ in range(6):
            path = "/".join(seed.choice("abcdefg") for _ in range(seed.randint(1, 4)))
            if any(path.startswith(f"{file}/") for file in files):
                # Nothing is below a file of the same layer.
                continue
            head, _, name = path.rpartition("/")
            kind = seed.choice(("file", "file", "directory", "whiteout", "opaque"))
            if kind == "whiteout":
                path = f"{head}/.wh.{name}".lstrip("/")
            elif kind == "opaque" and path not in files:
                path += "/.wh..wh..opq"
            made = tarfile.TarInfo(path)
            made.mode, made.uid, made.mtime = seed.choice((0o755, 0o644, 0o1777)), seed.randint(0, 3), 1000
            if kind == "directory":
                made.type = tarfile.DIRTYPE
            elif kind == "file":
                files.add(path)
            entries.append((made, os.urandom(8) if kind == "file" else b""))
        stack.append(Layer(tar_of(entries)))
    return stack


class Layer(bytes):
    """A tar that shows what is in it."""

    def __repr__(self) -> str:
        with tarfile.open(fileobj=io.BytesIO(self), errors="surrogateescape") as archive:
            shown = [
                f"{m.type.decode()}:{m.name[:20]}:{m.linkname[:20]}:{m.mode:o}:{m.uid}:{m.size}"
                f":{[*m.pax_headers]}"
                for m in archive
            ]
        return f"Layer({shown})"


def tar_of(entries: list[Member]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(
        fileobj=output, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape"
    ) as archive:
        for made, data in entries:
            made.size = len(data)
            archive.addfile(made, io.BytesIO(data))
    return output.getvalue()


def implied(tars: list[bytes]) -> frozenset[bytes]:
    """Paths on the way to an entry: a layer may make directories there that it has no entry for."""
    found: set[bytes] = set()
    for tar in tars:
        with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
            for member in archive:
                parts = os.fsencode(member.name).split(b"/")
                found.update(b"/".join(parts[:count]) for count in range(1, len(parts) + 1))
                if member.issym():
                    # What is below a link is made where it points.
                    found.update((b"a", b"b", b"usr", b"nowhere", b"l" * 600))
    return frozenset(found)


def describe(
    root: Path, *, ignore_times_of: frozenset[bytes] = frozenset(), lists_whiteouts: bool = False
) -> Description:
    """Every name below `root`, with all that can be asked of it. Hard links by their first name."""
    found: Description = {}
    firsts: dict[tuple[int, int], bytes] = {}
    for directory, subdirectories, files in os.walk(os.fsencode(root)):
        subdirectories.sort()
        for name in sorted(subdirectories) + sorted(files):
            path = os.path.join(directory, name)
            below = os.path.relpath(path, os.fsencode(root))
            if lists_whiteouts and not os.path.lexists(path):
                # Overlay does, where nothing is below them.
                continue
            found[below] = _describe(path, below, firsts, below not in ignore_times_of)
    return found


def _describe(
    path: bytes, below: bytes, firsts: dict[tuple[int, int], bytes], timed: bool
) -> tuple[Any, ...]:
    status = os.lstat(path)
    content: bytes | int = b""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = file.read()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif not stat.S_ISDIR(status.st_mode):
        content = status.st_rdev
    first = below
    if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
        first = firsts.setdefault((status.st_dev, status.st_ino), below)
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.overlay.")
    }
    links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
    mtime = status.st_mtime_ns if timed else 0
    return (
        oct(status.st_mode), status.st_uid, status.st_gid, mtime, links, first, content, attributes,
    )  # fmt: skip
