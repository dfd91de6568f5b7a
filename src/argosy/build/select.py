"""What a COPY or ADD takes from a tree, found before anything is copied: for the cache key, and to copy.

COPY file dest          dest, or dest/file if that is a directory
COPY directory dest     what is in the directory, not the directory itself
COPY *.c dest           each match as one of the above
COPY --parents a/b/./c/d dest     dest/c/d
"""

import hashlib
import posixpath
import stat
from collections.abc import Sequence
from typing import NamedTuple

from argosy.build.complain import DockerfileError, did_you_mean
from argosy.build.files import Files, Status
from argosy.build.ignore import Ignore, patterns
from argosy.build.wildcard import Wildcard, has_wildcards

_PIVOT = "/./"
_SHORT = 12


class Picked(NamedTuple):
    """`target` is relative to the destination; "" is the destination itself, or its name if it is a
    directory. `is_parent`: only there to hold what is below, so it is no change to one that exists."""

    path: str
    status: Status
    target: str
    is_parent: bool = False


class Root(NamedTuple):
    """One source, or one match of it. `path` as resolved, `name` as it would be called at the destination."""

    path: str
    status: Status
    name: str
    picked: list[Picked]


class Selection(NamedTuple):
    files: Files
    roots: list[Root]

    def digest(self) -> str:
        """Of everything that the result depends on, contents included, times not."""
        hasher = hashlib.sha256()
        for root in self.roots:
            kind = "d" if root.status.is_directory else root.name
            hasher.update(b"root\0%b\0" % kind.encode(errors="surrogateescape"))
            for item in root.picked:
                hasher.update(_line(self.files, item))
        return hasher.hexdigest()

    @property
    def entries(self) -> int:
        return sum(len(root.picked) for root in self.roots)

    def listing(self) -> dict[str, str]:
        """A short digest of each file, by its path where it is."""
        found = {}
        for root in self.roots:
            for item in root.picked:
                if not item.status.is_directory:
                    found[item.path] = hashlib.sha256(_line(self.files, item)).hexdigest()[:_SHORT]
        return found


def _line(files: Files, item: Picked) -> bytes:
    status = item.status
    head = f"{item.target}\0{status.mode:o}\0{status.uid}:{status.gid}\0"
    line = head.encode(errors="surrogateescape")
    if status.is_regular:
        line += files.content_digest(item.path, status)
    elif status.is_link:
        line += files.link(item.path).encode(errors="surrogateescape") + b"\0"
    elif not status.is_directory:
        line += b"%d" % status.rdev
    if not files.anonymous and not status.is_link:
        for name, value in sorted(files.attributes(item.path).items()):
            line += b"\0%b=%b" % (name, value)
    return line + b"\n"


def select(
    files: Files, sources: Sequence[str], *, exclude: Sequence[str] = (), parents: bool = False
) -> Selection:
    """Raises DockerfileError for a source that is not there."""
    hidden = Ignore(patterns(exclude)) if exclude else None
    roots: list[Root] = []
    for source in sources:
        if parents:
            roots += _with_parents(files, source, hidden)
        else:
            roots += [_root(files, path, status, hidden) for path, status in _matches(files, source)]
    return Selection(files, roots)


def _cleaned(source: str) -> str:
    """Inside the tree, whatever it says."""
    return posixpath.normpath("/" + source).lstrip("/")


def _matches(files: Files, source: str) -> list[tuple[str, Status]]:
    path = _cleaned(source)
    if not has_wildcards(path):
        found = files.lookup(path)
        if found is None:
            raise missing(files, path)
        resolved, status = found
        # A link goes by its own name.
        return [(path if not status.is_directory and resolved != path else resolved, status)]
    Wildcard(path)
    matched = [""]
    for part in path.split("/"):
        matched = [each for base in matched for each in _step(files, base, part)]
    found_all = [(each, files.lookup(each)) for each in sorted(matched)]
    return [(each, found[1]) for each, found in found_all if found is not None]


def _step(files: Files, base: str, part: str) -> list[str]:
    prefix = f"{base}/" if base else ""
    if not has_wildcards(part):
        return [prefix + part] if files.lookup(prefix + part) is not None else []
    found = files.lookup(base)
    if found is None or not found[1].is_directory:
        return []
    wildcard = Wildcard(part)
    return [prefix + name for name, _ in files.listing(found[0]) if wildcard.matches(name)]


def _root(files: Files, path: str, status: Status, hidden: Ignore | None) -> Root:
    name = posixpath.basename(path)
    real = files.resolve(path)
    if not status.is_directory:
        shown = hidden is None or not hidden.excluded(path)
        return Root(real, status, name, [Picked(real, status, "")] if shown else [])
    prefix = len(real) + 1 if real else 0
    if not real and files.anonymous:
        # What a context's own directory is like is nobody's business.
        status = status._replace(mode=stat.S_IFDIR | 0o755)
    picked = [Picked(real, status, "")]
    picked += [Picked(inner, found, inner[prefix:]) for inner, found in files.walk(real)]
    if hidden is not None:
        picked = _without(picked, hidden)
    return Root(real, status, name, picked)


def _without(picked: list[Picked], hidden: Ignore) -> list[Picked]:
    """A directory that is excluded stays if something in it does."""
    kept: list[Picked] = []
    needed: set[str] = set()
    for item in reversed(picked):
        excluded = bool(item.target) and hidden.excluded(item.target)
        if excluded and item.target not in needed:
            continue
        kept.append(item)
        needed.add(item.target.rpartition("/")[0])
    return kept[::-1]


def _with_parents(files: Files, source: str, hidden: Ignore | None) -> list[Root]:
    before, pivot, after = source.partition(_PIVOT)
    base = _cleaned(before) if pivot else ""
    pattern = _cleaned(after if pivot else source)
    found: list[Root] = []
    for path, status in _double_star(files, base, pattern):
        relative = path[len(base) + 1 :] if base else path
        picked = _parents_of(files, base, relative)
        real = files.resolve(path)
        picked.append(Picked(real, status, relative))
        if status.is_directory:
            prefix = len(real) + 1
            picked += [Picked(inner, s, f"{relative}/{inner[prefix:]}") for inner, s in files.walk(real)]
        if hidden is not None:
            picked = _without(picked, hidden)
        found.append(Root(real, status, relative, picked))
    return found


def _parents_of(files: Files, base: str, relative: str) -> list[Picked]:
    picked = []
    parts = relative.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        target = "/".join(parts[:depth])
        found = files.lookup(f"{base}/{target}" if base else target)
        if found is not None:
            picked.append(Picked(found[0], found[1], target, is_parent=True))
    return picked


def _double_star(files: Files, base: str, pattern: str) -> list[tuple[str, Status]]:
    """`**` crosses slashes here, as it does nowhere else in COPY."""
    prefix = f"{base}/" if base else ""
    if "**" not in pattern:
        return _matches(files, prefix + pattern)
    matcher = Ignore(patterns([pattern]))
    start = files.lookup(base)
    if start is None:
        raise missing(files, base)
    below = len(start[0]) + 1 if start[0] else 0
    found: list[tuple[str, Status]] = []
    covered = ""
    for path, status in files.walk(start[0]):
        relative = path[below:]
        if covered and relative.startswith(covered):
            continue
        if matcher.excluded(relative):
            found.append((prefix + relative, status))
            covered = f"{relative}/" if status.is_directory else covered
    return found


def missing(files: Files, path: str) -> DockerfileError:
    """Says why: it may exist and be hidden, or be spelled otherwise."""
    message = f'failed to calculate checksum of ref: "/{path}": not found'
    if files.ignore is not None and files.exists_hidden(path):
        rule = files.ignore.rule_for(path)
        line = f" line {rule.line}" if rule is not None else ""
        shown = f" ({rule.written})" if rule is not None else ""
        return DockerfileError(message, hint=f"{path} exists, but .dockerignore{line}{shown} excludes it")
    directory, _, name = path.rpartition("/")
    found = files.lookup(directory)
    if found is None or not found[1].is_directory:
        return (
            DockerfileError(message, hint=f"There is no directory {directory} there")
            if directory
            else (DockerfileError(message))
        )
    nearest = did_you_mean(name, (each for each, _ in files.listing(found[0])))
    return DockerfileError(message, hint=f"No {name} there{nearest}")
