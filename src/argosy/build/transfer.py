"""COPY, ADD and WORKDIR carried out: from what they say to a key, and to a layer."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from argosy.build.complain import DockerfileError
from argosy.build.files import Files
from argosy.build.lay import Attributes, Layer
from argosy.build.mode import parse_mode
from argosy.build.past import pack_listing
from argosy.build.progress import StepProgress
from argosy.build.remote import Fetched, fetch
from argosy.build.select import Selection, select
from argosy.build.tools import Tools
from argosy.build.vertex import CopyVertex, WorkdirVertex
from argosy.errors import InvalidParameter
from argosy.image.decompress import open_decompressed, sniff
from argosy.image.tar import is_header
from argosy.runtime import users

Diff = tuple[str, ...]
_LIMIT = 8 << 20
_HEAD = 512


class Transfer:
    """One COPY or ADD of a build. `base` and `source` are the layers of what it stands on and takes from."""

    def __init__(
        self, vertex: CopyVertex, tools: Tools, base: Diff, source: Diff, step: StepProgress
    ) -> None:
        self._step = step
        self._vertex = vertex
        self._tools = tools
        self._base = base
        self._source = source
        self._fetched: list[Fetched] = []

    def quick_parts(self) -> dict[str, str] | None:
        """A key that needs no look at files: that of the whole tree that they come from."""
        vertex = self._vertex
        if vertex.origin.vertex is None or vertex.remotes:
            return None
        return {**self._own_parts(), "from": ",".join(self._source)}

    def parts(self) -> dict[str, str]:
        """Raises DockerfileError for a source that is not there, Changed."""
        found = self._own_parts()
        vertex = self._vertex
        if vertex.sources and vertex.origin.vertex is None:
            context = self._tools.contexts[vertex.origin.context]
            question = (vertex.sources, vertex.exclude, vertex.parents)
            with context.files() as files:
                found["files"] = self._tools.selections.digest(
                    context, question, lambda: self._selection(files)
                )
        elif vertex.sources:
            with self._files() as files:
                found["files"] = self._selection(files).digest()
        if self._vertex.remotes and not self._fetched:
            self._fetched = [fetch(url, self._vertex) for url in self._vertex.remotes]
        if self._fetched:
            found["fetched"] = ",".join(each.digest for each in self._fetched)
        return found

    def close(self) -> None:
        for each in self._fetched:
            each.close()

    def execute(self) -> str:
        """The layer's diff ID. Raises DockerfileError, Changed, InvalidParameter."""
        vertex, tools = self._vertex, self._tools
        with ExitStack() as stack:
            base = None
            owners = self._needs_names()
            if not vertex.linked or owners:
                view = stack.enter_context(tools.assembler.view(self._base, tools.lease))
                base = Files(view.descriptor, tools.digests)
            attributes = Attributes(
                _owner(vertex.chown, base, self._step, self._base) if vertex.chown else None,
                parse_mode(vertex.chmod),
            )
            files = stack.enter_context(self._files()) if vertex.sources else None
            selection = self._selection(files) if files is not None else None
            if selection is not None and vertex.origin.vertex is None:
                tools.cache.keep_listing(selection.digest(), pack_listing(selection.listing()))

            def write(put: Callable[[bytes], object]) -> None:
                layer = Layer(None if vertex.linked else base, put, tools.now, tools.latest)
                self._fill(layer, selection, attributes)
                layer.finish()

            return tools.assembler.layer(write, tools.lease)

    def _own_parts(self) -> dict[str, str]:
        needs_base = not self._vertex.linked or self._needs_names()
        base = ",".join(self._base) if needs_base else ""
        latest = str(self._tools.latest) if self._tools.latest is not None else ""
        return {"step": self._vertex.definition, "base": base, "epoch": latest}

    def _needs_names(self) -> bool:
        return any(part and not part.isdigit() for part in self._vertex.chown.split(":"))

    @contextmanager
    def _files(self) -> Iterator[Files]:
        origin = self._vertex.origin
        if origin.vertex is None:
            with self._tools.contexts[origin.context].files() as files:
                yield files
            return
        with self._tools.assembler.view(self._source, self._tools.lease) as view:
            yield Files(view.descriptor, self._tools.digests)

    def _selection(self, files: Files) -> Selection:
        vertex = self._vertex
        return select(files, vertex.sources, exclude=vertex.exclude, parents=vertex.parents)

    def _fill(self, layer: Layer, selection: Selection | None, attributes: Attributes) -> None:
        vertex = self._vertex
        if selection is not None and vertex.parents:
            layer.transfer_parents(selection, vertex.destination, attributes)
        elif selection is not None and vertex.is_add and vertex.unpack is not False:
            self._add(layer, selection, attributes)
        elif selection is not None:
            layer.transfer(selection, vertex.destination, attributes)
        several = len(vertex.inline) + len(vertex.remotes) + len(vertex.sources) > 1
        for inline in vertex.inline:
            path = _file_target(layer, vertex.destination, inline.name, several=several)
            layer.file(path, inline.content.encode(errors="surrogateescape"), attributes)
        for each in self._fetched:
            each.lay(layer, vertex, attributes)

    def _add(self, layer: Layer, selection: Selection, attributes: Attributes) -> None:
        """Archives are laid out, everything else is copied."""
        rest = []
        for root in selection.roots:
            if not root.status.is_regular:
                rest.append(root)
                continue
            descriptor = selection.files.open(root.path, root.status)
            with _Reader(descriptor) as reader:
                if is_archive(reader):
                    os.lseek(descriptor, 0, os.SEEK_SET)
                    layer.archive(open_decompressed(reader), self._vertex.destination, attributes)
                    continue
            rest.append(root)
        if rest:
            layer.transfer(Selection(selection.files, rest), self._vertex.destination, attributes)


class _Reader:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read(self, size: int, /) -> bytes:
        return os.read(self.descriptor, size)

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def is_archive(source: _Reader) -> bool:
    """A tar, compressed or not."""
    try:
        kind, _ = sniff(source)
        os.lseek(source.descriptor, 0, os.SEEK_SET)
        head = open_decompressed(source).read(_HEAD) if kind else source.read(_HEAD)
    except InvalidParameter:
        return False
    return len(head) == _HEAD and is_header(head)


def make_directory(vertex: WorkdirVertex, tools: Tools, base: Diff, step: StepProgress) -> str:
    """WORKDIR's layer; an empty one if the directory is there."""
    with tools.assembler.view(base, tools.lease) as view:
        files = Files(view.descriptor, tools.digests)

        def write(put: Callable[[bytes], object]) -> None:
            layer = Layer(files, put, tools.now, tools.latest)
            owner = _owner(vertex.user, files, step, base) if vertex.user else (0, 0)
            layer.directory(vertex.path, owner)
            layer.finish()

        return tools.assembler.layer(write, tools.lease)


def _file_target(layer: Layer, destination: str, name: str, *, several: bool) -> str:
    if several or destination.endswith("/") or layer.is_directory(layer.resolve(destination)):
        return f"{destination.rstrip('/')}/{name}"
    return destination


def _owner(text: str, files: Files | None, step: StepProgress, base: Diff) -> tuple[int, int]:
    """What --chown or USER says, by the passwd and group files of the base.

    Whom a base does not know is root to Docker; that is told. Raises DockerfileError if there is no base.
    """
    passwd, group = _lines(files, "etc/passwd"), _lines(files, "etc/group")
    user, _, given = text.partition(":")
    try:
        identity = users.resolve(text, passwd, group, [])
    except users.UserError as error:
        if not base:
            raise DockerfileError(f"invalid user {text}: {error}") from None
        step.say(2, f"WARNING: {error}: root takes its place\n".encode())
        found = _user(user, passwd)
        return found, int(given) if given.isdigit() else found
    # Docker: a number alone is the group's, too.
    return identity.uid, identity.uid if user.isdigit() and not given else identity.gid


def _user(name: str, passwd: list[list[str]]) -> int:
    try:
        return users.resolve(name, passwd, [], []).uid
    except users.UserError:
        return 0


def _lines(files: Files | None, path: str) -> list[list[str]]:
    found = files.lookup(path) if files is not None else None
    if files is None or found is None or not stat.S_ISREG(found[1].mode):
        return []
    descriptor = files.open(*found)
    try:
        text = os.read(descriptor, _LIMIT).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
    return [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]
