"""`docker load`: an archive of images, read once from front to back.

Two forms, often both in one archive: `docker save`'s, where `manifest.json` names configurations and
layers by their paths, and the OCI image layout, where `index.json` leads to manifests and those to blobs
under `blobs/sha256`. What an entry is turns out only when the manifest comes, at the end as a rule; so
whatever looks like a layer is stored and staged as one while it passes, and what is small and looks
like none is kept in memory. Nothing is an image until the whole archive has been read.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, UnsetType

from argosy.errors import InvalidParameter
from argosy.image import digest as digests
from argosy.image.catalog import Catalog
from argosy.image.content import ContentStore
from argosy.image.create import Registrar
from argosy.image.decompress import Prefixed, compression_of, open_decompressed
from argosy.image.document import decode_document
from argosy.image.layers import Layers, ReceivedLayer
from argosy.image.leases import Lease
from argosy.image.platforms import choose, format_platform, host_platform, mismatch
from argosy.image.progress import Meter, Metered, Progress
from argosy.image.record import ImageRecord
from argosy.image.reference import Reference, parse_reference
from argosy.image.tar import BLOCK, HARD_LINK, REGULAR, SYMLINK, Entry, Source, TarReader, is_header
from argosy.spec import oci_image
from argosy.spec.oci_image import Descriptor, Platform

_BLOBS = "blobs/sha256/"
_DOCUMENT_LIMIT = 8 << 20
_DOCUMENTS_LIMIT = 64 << 20
_NESTING_LIMIT = 4
_SHORT = 12


class ManifestItem(msgspec.Struct, rename="pascal"):
    """One image in `manifest.json`. The paths are within the archive."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None
    parent: str | UnsetType = UNSET
    layer_sources: dict[str, Descriptor] | UnsetType = UNSET


@dataclass(slots=True)
class _Archive:
    documents: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, ReceivedLayer] = field(default_factory=dict)
    # Blobs that were here already, by path.
    present: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def resolve(self, name: str) -> str:
        path = posixpath.normpath(name)
        for _ in range(len(self.links) + 1):
            if path not in self.links:
                return path
            path = self.links[path]
        raise InvalidParameter(f"too many links: {name}")


class Loader:
    """One archive's way in."""

    def __init__(
        self,
        catalog: Catalog,
        content: ContentStore,
        layers: Layers,
        registrar: Registrar,
        progress: Progress,
        *,
        quiet: bool = False,
        platform: Platform | None = None,
    ) -> None:
        self._catalog = catalog
        self._content = content
        self._layers = layers
        self._registrar = registrar
        self._progress = progress
        self._quiet = quiet
        self._wanted = platform
        self._platform = platform or host_platform()
        self._archive = _Archive()
        self._memory = 0

    def load(self, stream: Source, lease: Lease) -> list[ImageRecord]:
        """Raises InvalidParameter for what is no such archive."""
        try:
            self._read(stream, lease)
            return list(self._images(lease))
        finally:
            self._layers.forget(list(self._archive.layers.values()))

    # What passes

    def _read(self, stream: Source, lease: Lease) -> None:
        reader = TarReader(open_decompressed(stream))
        for entry in reader:
            name = posixpath.normpath(entry.name.decode(errors="surrogateescape")).lstrip("/")
            if entry.type == REGULAR and entry.sparse is None:
                self._file(name, entry, reader, lease)
            elif entry.type == SYMLINK:
                target = entry.link.decode(errors="surrogateescape")
                self._archive.links[name] = posixpath.normpath(
                    posixpath.join(posixpath.dirname(name), target)
                )
            elif entry.type == HARD_LINK:
                self._archive.links[name] = posixpath.normpath(entry.link.decode(errors="surrogateescape"))
        reader.stream.drain()

    def _file(self, name: str, entry: Entry, reader: TarReader, lease: Lease) -> None:
        expected = _digest_of(name)
        if expected:
            lease.keep(expected)
            if self._content.exists(expected):
                self._archive.present[name] = expected
                return
        contents = reader.open(entry)
        head = b""
        while len(head) < min(BLOCK, entry.size):
            head += contents.read(BLOCK - len(head))
        source = Prefixed(head, contents)
        if _is_layer(head, entry, name):
            self._archive.layers[name] = self._layer(name, entry.size, source, expected, lease)
            return
        if entry.size > _DOCUMENT_LIMIT or self._memory + entry.size > _DOCUMENTS_LIMIT:
            raise InvalidParameter(f"invalid archive: {name} is neither a layer nor a document")
        self._memory += entry.size
        data = b"".join(iter(lambda: source.read(_DOCUMENT_LIMIT), b""))
        if expected and digests.of_bytes(data) != expected:
            raise InvalidParameter(f"invalid archive: {name} does not have this digest")
        self._archive.documents[name] = data

    def _layer(self, name: str, size: int, source: Source, expected: str, lease: Lease) -> ReceivedLayer:
        if not self._quiet:
            meter = Meter(self._progress, _short_name(name), "Loading layer", size)
            source = Metered(source, meter)
        return self._layers.receive(source, lease, expected=expected)

    # What it is

    def _images(self, lease: Lease) -> Iterator[ImageRecord]:
        archive = self._archive
        if (manifest := archive.documents.get(archive.resolve("manifest.json"))) is not None:
            for item in decode_document(manifest, list[ManifestItem], "manifest.json"):
                if self._is_wanted(item):
                    yield self._from_item(item, lease)
        elif (index := archive.documents.get(archive.resolve("index.json"))) is not None:
            for descriptor in decode_document(index, oci_image.Index, "index.json").manifests:
                yield self._from_descriptor(descriptor, lease)
        else:
            raise InvalidParameter("invalid archive: does not contain a manifest.json")

    def _is_wanted(self, item: ManifestItem) -> bool:
        document = decode_document(self._document(item.config), oci_image.Image, "image configuration")
        return self._wanted is None or not mismatch("", document, self._wanted)

    def _from_item(self, item: ManifestItem, lease: Lease) -> ImageRecord:
        parent = item.parent if item.parent and self._catalog.get(item.parent) else ""
        references = [_tagged(tag) for tag in item.repo_tags or []]
        return self._register(self._document(item.config), item.layers or [], references, parent, lease)

    def _from_descriptor(self, descriptor: Descriptor, lease: Lease) -> ImageRecord:
        references = _annotated(descriptor.annotations or {})
        manifest = self._manifest(descriptor, 0)
        if manifest is None:
            raise InvalidParameter(
                f"image with reference {descriptor.digest} was found but does not provide the specified "
                f"platform ({format_platform(self._platform)})"
            )
        paths = [_path(layer.digest) for layer in manifest.layers or []]
        return self._register(self._document(_path(manifest.config.digest)), paths, references, "", lease)

    def _manifest(self, descriptor: Descriptor, depth: int) -> oci_image.Manifest | None:
        data = self._document(_path(descriptor.digest))
        index = decode_document(data, oci_image.Index, "index")
        if not index.manifests:
            manifest: oci_image.Manifest = decode_document(data, oci_image.Manifest, "manifest")
            return manifest
        chosen = choose(index.manifests, self._platform)
        if chosen is None or depth == _NESTING_LIMIT:
            return None
        return self._manifest(chosen, depth + 1)

    def _register(
        self, configuration: bytes, paths: list[str], references: list[Reference], parent: str, lease: Lease
    ) -> ImageRecord:
        document = decode_document(configuration, oci_image.Image, "image configuration")
        expected = document.rootfs.diff_ids or []
        if len(paths) != len(expected):
            raise InvalidParameter(
                f"invalid manifest, layers length mismatch: expected {len(expected)}, got {len(paths)}"
            )
        for number, (path, diff_id) in enumerate(zip(paths, expected, strict=True)):
            found = self._diff_id(path, diff_id)
            if found != diff_id:
                raise InvalidParameter(
                    f'invalid diffID for layer {number}: expected "{diff_id}", got "{found}"'
                )
        self._announce_moves(references, digests.of_bytes(configuration))
        received = list(self._archive.layers.values())
        record = self._registrar.register(
            configuration, received, lease, references=references, parent=parent
        )
        for reference in references:
            self._progress.stream(f"Loaded image: {reference.familiar}\n")
        if not references:
            self._progress.stream(f"Loaded image ID: {record.id}\n")
        return record

    def _diff_id(self, path: str, wanted: str) -> str:
        resolved = self._archive.resolve(path)
        if (layer := self._archive.layers.get(resolved)) is not None:
            return layer.diff_id
        if resolved in self._archive.present:
            return self._archive.present[resolved]
        # A manifest may leave out what a registry has, or what is here.
        if self._content.exists(wanted):
            return wanted
        raise InvalidParameter(f"invalid archive: open {path}: no such file or directory")

    def _document(self, path: str) -> bytes:
        resolved = self._archive.resolve(path)
        if (data := self._archive.documents.get(resolved)) is not None:
            return data
        if (digest := self._archive.present.get(resolved)) and self._content.size(digest) <= _DOCUMENT_LIMIT:
            return self._content.read(digest)
        raise InvalidParameter(f"invalid archive: open {path}: no such file or directory")

    def _announce_moves(self, references: list[Reference], image: str) -> None:
        for reference in references:
            previous = self._catalog.target(reference)
            if previous is not None and previous != image:
                self._progress.stream(
                    f"The image {reference.familiar} already exists, "
                    f"renaming the old one with ID {previous} to empty string\n"
                )


def _digest_of(name: str) -> str:
    digest = "sha256:" + name.removeprefix(_BLOBS)
    return digest if name.startswith(_BLOBS) and digests.is_digest(digest) else ""


def _path(digest: str) -> str:
    return _BLOBS + digests.checked(digest)[7:]


def _is_layer(head: bytes, entry: Entry, name: str) -> bool:
    if name.endswith("layer.tar") or compression_of(head):
        return True
    return entry.size >= BLOCK and is_header(head)


def _short_name(name: str) -> str:
    """What a layer is called before its diff ID is known: its blob, or its directory."""
    whole = name.removeprefix(_BLOBS)
    return (posixpath.dirname(whole) or whole)[:_SHORT]


def _tagged(text: str) -> Reference:
    reference = parse_reference(text)
    if not reference.tag:
        raise InvalidParameter(f'invalid tag "{text}"')
    return reference.repository().with_tag(reference.tag)


def _annotated(annotations: dict[str, str]) -> list[Reference]:
    """The name under which a layout knows an image, if it is a whole one."""
    for key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
        text = annotations.get(key, "")
        if "/" in text or ":" in text:
            return [_tagged(text)]
    return []
