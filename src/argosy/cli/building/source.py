"""The Dockerfile and the contexts of a build, as the engine is told of them.

A directory of the engine's own machine is read there and never copied; of one that is elsewhere what has
changed is sent, without what .dockerignore excludes.
"""

from __future__ import annotations

import os
import re
import sys

from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from argosy.cli.building.offer import Offer
    from argosy.cli.context import Context

DOCKERFILE = "Dockerfile"
_IGNORE = ".dockerignore"
_LAYOUT = "oci-layout://"
_REMOTE = re.compile(r"https?://|git://|ssh://|git@|github\.com/")
_HEAD = 512
_PIECE = 1 << 20
_LARGEST_DOCKERFILE = 2 << 20
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ")
_USTAR = slice(257, 262)


class BuildSource:
    """`document` is this part of the request. `body` is what has to be sent after it."""

    def __init__(self, path: str, file: str, named: list[str]) -> None:
        """`path` is a directory, a URL or `-`; `file` is --file. Raises Failure."""
        self.document: dict[str, Any] = {"filename": DOCKERFILE, "contexts": {}, "images": {}, "layouts": {}}
        self.body: Iterator[bytes] | None = None
        if path == "-":
            self._from_stdin(file)
        elif _REMOTE.match(path):
            self.document["contexts"][""] = {"url": path}
            self._remote_file(file)
        else:
            self._from_directory(path, file)
        for text in named:
            self._named(text)

    @property
    def is_in_place(self) -> bool:
        """The engine reads a directory of this machine."""
        return any("path" in each for each in self.document["contexts"].values()) or bool(
            self.document["layouts"]
        )

    def offered(self, context: Context) -> Offer:
        """The same with directories offered: the engine is on another machine. Raises Failure."""
        from argosy.cli.building.offer import Offer

        if self.document["layouts"]:
            name = next(iter(self.document["layouts"]))
            raise Failure(
                f"the engine is on another machine: the image layout {name} cannot be read there\n"
                f"Load it there (argosy load), and give it as {name}=docker-image://NAME."
            )
        contexts = self.document["contexts"]
        directories = {name: place["path"] for name, place in contexts.items() if "path" in place}
        offer = Offer(context, directories, self.document.get("ignore") or "")
        contexts.update({name: offer.place(name) for name in directories})
        return offer

    def _from_stdin(self, file: str) -> None:
        if file == "-":
            raise Failure("invalid argument: can't use stdin for both build context and dockerfile")
        head = sys.stdin.buffer.read(_HEAD)
        if head.startswith(_COMPRESSED) or head[_USTAR] == b"ustar":
            self.document["contexts"][""] = {"sent": True}
            self.body = _rest_of_stdin(head)
            self._remote_file(file)
            return
        if file:
            raise Failure("invalid argument: stdin is a Dockerfile, and --file names another")
        self.document["contexts"][""] = {}
        self.document["dockerfile"] = _text(head + sys.stdin.buffer.read(_LARGEST_DOCKERFILE))

    def _remote_file(self, file: str) -> None:
        """A Dockerfile's name inside a context that is not here."""
        if file == "-":
            self.document["dockerfile"] = _text(sys.stdin.buffer.read(_LARGEST_DOCKERFILE))
        elif file:
            self.document["filename"] = file

    def _from_directory(self, path: str, file: str) -> None:
        self.document["contexts"][""] = place_of(path)
        if file == "-":
            self.document["dockerfile"] = _text(sys.stdin.buffer.read(_LARGEST_DOCKERFILE))
            beside = ""
        else:
            chosen = file or os.path.join(path, DOCKERFILE)
            self.document["dockerfile"] = _read_dockerfile(chosen)
            self.document["filename"] = os.path.basename(chosen)
            beside = f"{chosen}{_IGNORE}"
        for candidate in (beside, os.path.join(path, _IGNORE)):
            try:
                with open(candidate, "rb") as opened:
                    self.document["ignore"] = _text(opened.read(_LARGEST_DOCKERFILE))
                break
            except OSError:
                continue

    def _named(self, text: str) -> None:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise Failure(f"invalid context value: {text}, expected name=path")
        if value.startswith("docker-image://"):
            self.document["images"][name] = value
        elif _REMOTE.match(value):
            self.document["contexts"][name] = {"url": value}
        elif value.startswith(_LAYOUT):
            path, reference = _layout(value.removeprefix(_LAYOUT))
            self.document["layouts"][name] = {"place": place_of(path), "reference": reference}
        elif value.startswith("target:"):
            raise Failure(
                f"invalid context value: {text}\n"
                "A context is a directory, a URL, docker-image://NAME or oci-layout://DIRECTORY"
            )
        else:
            self.document["contexts"][name] = place_of(value)


def _layout(text: str) -> tuple[str, str]:
    """The directory, and a digest or a tag."""
    path, at, digest = text.partition("@")
    if at:
        return path, digest
    path, colon, tag = text.rpartition(":")
    return (path, tag) if colon and "/" not in tag else (text, "")


def place_of(path: str) -> dict[str, Any]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise Failure(f'unable to prepare context: path "{path}" not found') from None
    except OSError as error:
        raise Failure(f"unable to prepare context: {path}: {error.strerror}") from None
    if not os.path.isdir(path):
        raise Failure(f"unable to prepare context: {path} is not a directory\nA Dockerfile is named with -f")
    return {"path": os.path.realpath(path), "device": found.st_dev, "inode": found.st_ino}


def _read_dockerfile(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return _text(file.read(_LARGEST_DOCKERFILE))
    except FileNotFoundError:
        folder, name = os.path.split(path)
        hint = _similar(folder or ".", name)
        raise Failure(f"failed to read dockerfile: open {name}: no such file or directory{hint}") from None
    except OSError as error:
        raise Failure(f"failed to read dockerfile: open {path}: {error.strerror}") from None


def _similar(folder: str, name: str) -> str:
    from argosy.cli.suggest import near

    try:
        names = os.listdir(folder)
    except OSError:
        return f"\nThere is no directory {folder}"
    best = near(name, names) or [each for each in names if "dockerfile" in each.lower()]
    return f"\nDid you mean -f {os.path.join(folder, best[0])}?" if best else "\nName another with -f"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _rest_of_stdin(head: bytes) -> Iterator[bytes]:
    yield head
    while data := sys.stdin.buffer.read(_PIECE):
        yield data
