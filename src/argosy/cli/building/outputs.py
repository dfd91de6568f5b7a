"""--output: what is asked of the engine, and where what it sends is put."""

from __future__ import annotations

import contextlib
import os
import sys

from argosy.cli.failure import Failure
from argosy.errors import ArgosyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

_FIRST = 2
_TO_A_FILE = ("tar", "oci", "docker")


class Outputs:
    """`documents` are what the engine is told. It sends number n in frames of stream 2 + n."""

    def __init__(self, texts: list[str], *, push: bool, load: bool) -> None:
        """Raises Failure."""
        self.documents: list[dict[str, Any]] = []
        self.caches: list[dict[str, Any]] = []
        self.is_cache_inline = False
        self._sinks: dict[int, Sink] = {}
        for text in texts:
            self._add(text)
        if (push or load) and self.documents and not any(d["type"] == "image" for d in self.documents):
            self.documents.append({"type": "image", "attributes": {}})

    def add_caches(self, texts: list[str]) -> None:
        """--cache-to. Raises Failure."""
        for text in texts:
            attributes = _cache_attributes(text)
            kind, mode = attributes.get("type", "registry"), attributes.get("mode", "min")
            if mode not in ("min", "max"):
                raise Failure(f"--cache-to {text}: invalid mode {mode!r}; it is min or max")
            if kind == "inline":
                self.is_cache_inline = True
            elif kind == "registry" and attributes.get("ref"):
                self.caches.append({"reference": attributes["ref"], "mode": mode})
            elif kind == "local" and attributes.get("dest"):
                self._sinks[len(self.documents) + len(self.caches)] = Tree(attributes["dest"])
                self.caches.append({"mode": mode})
            else:
                raise Failure(
                    f"--cache-to {text}: it is type=inline, type=registry,ref=NAME or "
                    "type=local,dest=DIRECTORY"
                )

    def write(self, stream: int, data: bytes) -> None:
        self._sinks[stream - _FIRST].write(data)

    def finish(self) -> None:
        """All is there. Raises Failure."""
        for sink in self._sinks.values():
            sink.finish()

    def abandon(self) -> None:
        """Nothing half-written stays."""
        for sink in self._sinks.values():
            sink.abandon()

    def _add(self, text: str) -> None:
        attributes = _attributes(text)
        kind = attributes.pop("type")
        destination = attributes.pop("dest", "")
        if kind == "registry":
            kind = "image"
            attributes["push"] = "true"
        if kind == "docker" and not destination:
            kind = "image"
        number = len(self.documents)
        self.documents.append({"type": kind, "attributes": attributes})
        if kind == "local":
            if not destination or destination == "-":
                raise Failure(f"--output {text}: a directory is needed: type=local,dest=DIRECTORY")
            self._sinks[number] = Tree(destination)
        elif kind in _TO_A_FILE:
            if destination in ("", "-") and sys.stdout.isatty():
                raise Failure(f"--output {text}: dest is needed, since a terminal is no place for an archive")
            self._sinks[number] = Archive("" if destination == "-" else destination)
        elif kind != "image":
            raise Failure(f"--output {text}: unknown type {kind!r}; it is image, local, tar, oci or docker")


class Sink:
    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        raise NotImplementedError

    def abandon(self) -> None:
        raise NotImplementedError


class Archive(Sink):
    """A file that appears whole or not at all; without a path, stdout."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._temporary = f"{path}.{os.getpid()}.new"
        self._file: BinaryIO = _created(self._temporary) if path else sys.stdout.buffer

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self) -> None:
        self._file.flush()
        if self._path:
            self._file.close()
            os.replace(self._temporary, self._path)

    def abandon(self) -> None:
        if self._path and os.path.exists(self._temporary):
            self._file.close()
            os.unlink(self._temporary)


class Tree(Sink):
    """A directory that the tar is laid down in, as its user's own, while it comes in."""

    def __init__(self, path: str) -> None:
        import threading

        os.makedirs(path, exist_ok=True)
        self._failure: BaseException | None = None
        reading, self._writing = os.pipe()
        self._file = os.fdopen(self._writing, "wb")
        self._source = os.fdopen(reading, "rb")
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._unpack, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except BrokenPipeError:
            self.finish()

    def finish(self) -> None:
        self._end()
        if self._failure is not None:
            raise Failure(f"cannot write the output: {self._failure}")

    def abandon(self) -> None:
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._file.close()
        self._thread.join()

    def _unpack(self) -> None:
        from argosy.image.tree_unpack import unpack

        try:
            unpack(self._root, "/", self._source, owner=(os.getuid(), os.getgid()))
        except (OSError, ArgosyError) as error:
            self._failure = error
        finally:
            self._source.close()
            os.close(self._root)


def _created(path: str) -> BinaryIO:
    try:
        return open(path, "wb")
    except OSError as error:
        raise Failure(f"cannot create {path}: {error.strerror}") from None


def cache_sources(texts: list[str]) -> list[dict[str, Any]]:
    """--cache-from. Raises Failure."""
    from argosy.cli.building.source import place_of

    found: list[dict[str, Any]] = []
    for text in texts:
        attributes = _cache_attributes(text)
        kind = attributes.get("type", "registry")
        if kind == "registry" and attributes.get("ref"):
            found.append({"reference": attributes["ref"]})
        elif kind == "local" and attributes.get("src"):
            found.append({"place": place_of(attributes["src"])})
        else:
            raise Failure(
                f"--cache-from {text}: it is NAME, type=registry,ref=NAME or type=local,src=DIRECTORY"
            )
    return found


def _cache_attributes(text: str) -> dict[str, str]:
    """A bare word is a name at a registry."""
    from argosy.cli.values import split_fields

    fields = split_fields(text)
    if len(fields) == 1 and "=" not in fields[0]:
        return {"type": "registry", "ref": fields[0]}
    return dict(field.partition("=")[::2] for field in fields)


def _attributes(text: str) -> dict[str, str]:
    """A bare word is a directory's name, and `-` a tar on stdout."""
    from argosy.cli.values import split_fields

    fields = split_fields(text)
    if fields == ["-"]:
        return {"type": "tar", "dest": "-"}
    if len(fields) == 1 and "=" not in fields[0]:
        return {"type": "local", "dest": fields[0]}
    attributes = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise Failure(f"invalid value {field!r} in --output {text}: it is no key=value")
        attributes[name.lower()] = value
    if "type" not in attributes:
        raise Failure(f"--output {text}: type is required")
    return attributes
