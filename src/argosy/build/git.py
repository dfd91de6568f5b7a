"""Git repositories as contexts and as sources of ADD: `URL#ref:directory`, or `URL?ref=…&subdir=…`."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from argosy.build.complain import DockerfileError
from argosy.build.flags import boolean
from argosy.errors import ArgosyError
from argosy.linux.remove_tree import discard_tree, remove_tree

_GIT = re.compile(r"(?:git|ssh)://|git@|https?://[^#?]*\.git(?:[#?]|\Z)")
_PATIENCE = 600
_NO_DEPTH = "does not support shallow"
_UMASK = 0o022
_SHORTEST_CHECKSUM = 7
_NAMESPACES = {"ref": "", "branch": "refs/heads/", "tag": "refs/tags/"}


@dataclass(slots=True)
class Repository:
    """What of it is meant: a `reference` or the default branch, a commit that it must be, a directory."""

    address: str
    reference: str = ""
    directory: str = ""
    checksum: str = ""
    keep_git: bool | None = None
    submodules: bool = True


def is_git(url: str) -> bool:
    return _GIT.match(url) is not None


def parse_git(url: str) -> Repository:
    """Raises DockerfileError."""
    head, _, fragment = url.partition("#")
    address, _, query = head.partition("?")
    found = Repository(address)
    found.reference, _, found.directory = fragment.partition(":")
    for name, value in parse_qsl(query, keep_blank_values=True):
        _take(found, name, value)
    return found


def _take(found: Repository, name: str, value: str) -> None:
    match name:
        case "ref" | "branch" | "tag":
            reference = _NAMESPACES[name] + value
            found.reference = _agreed("ref", found.reference, reference)
        case "subdir":
            found.directory = _agreed("subdir", found.directory, value)
        case "checksum" | "commit":
            found.checksum = _agreed("checksum", found.checksum, value)
        case "keep-git-dir":
            found.keep_git = _switch(name, value)
        case "submodules":
            found.submodules = _switch(name, value)
        case _:
            raise DockerfileError(f"unexpected query {name!r} in {found.address}")


def _switch(name: str, value: str) -> bool:
    found = boolean(value or "true")
    if found is None:
        raise DockerfileError(f"invalid value {value!r} for {name}: it is true or false")
    return found


def _agreed(what: str, before: str, value: str) -> str:
    if before and before != value:
        raise DockerfileError(f"{what} conflicts: {before!r} vs {value!r}")
    return value


def clone(url: str, directory: str, *, keep_git: bool = False, checksum: str = "") -> str:
    """The repository's tree, put into the directory. Returns the commit. Raises DockerfileError."""
    wanted = parse_git(url)
    if shutil.which("git") is None:
        raise DockerfileError("git is not installed on the engine's machine", hint="apt install git")
    work = os.path.join(directory, ".clone")
    commit = _checked_out(wanted, work)
    for expected in (checksum, wanted.checksum):
        if expected and not (commit.startswith(expected) and len(expected) >= _SHORTEST_CHECKSUM):
            raise DockerfileError(f"expected checksum to match {expected}, got {commit}")
    if wanted.submodules:
        _git(["-C", work, "submodule", "update", "--init", "--recursive", "--depth=1", "-q"])
    if not (keep_git if wanted.keep_git is None else wanted.keep_git):
        remove_tree(os.path.join(work, ".git"))
    root = os.path.realpath(os.path.join(work, wanted.directory))
    if root != work and not root.startswith(work + "/"):
        raise DockerfileError(f"invalid subdirectory {wanted.directory} in {url}")
    if not os.path.isdir(root):
        raise DockerfileError(f"there is no directory {wanted.directory} in {wanted.address}")
    for name in os.listdir(root):
        os.rename(os.path.join(root, name), os.path.join(directory, name))
    discard_tree(work)
    return commit


def _checked_out(wanted: Repository, work: str) -> str:
    _git(["init", "-q", work])
    _git(["-C", work, "remote", "add", "--", "origin", wanted.address])
    fetch, what = ["-C", work, "fetch", "-q"], ["--", "origin", wanted.reference or "HEAD"]
    try:
        _git([*fetch, "--depth=1", *what])
    except DockerfileError as error:
        # A server that only hands out files has no short histories.
        if _NO_DEPTH not in error.message:
            raise
        _git([*fetch, *what])
    _git(["-C", work, "-c", "advice.detachedHead=false", "checkout", "-q", "FETCH_HEAD"])
    return _git(["-C", work, "rev-parse", "HEAD"]).strip()


def _git(words: Sequence[str]) -> str:
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PROTOCOL_FROM_USER": "0",
    }
    # Addresses like ext::command would run whatever they say.
    safe = ["-c", "protocol.ext.allow=never", "-c", "protocol.file.allow=user"]
    try:
        done = subprocess.run(
            ["git", *safe, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            # What it checks out becomes part of images: as everybody's git leaves it.
            umask=_UMASK,
        )
    except subprocess.TimeoutExpired:
        raise ArgosyError(f"git {words[-1]} did not end within {_PATIENCE} s") from None
    if done.returncode:
        raise DockerfileError(f"git failed: {done.stderr.strip() or done.returncode}")
    return done.stdout
