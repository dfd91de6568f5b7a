"""OCI image layouts in the place of images: `--build-context NAME=oci-layout://…`.

The blobs are in a directory, or at a client that is asked for each. Of an image only what is not here yet is
read.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from argosy.errors import InvalidParameter, NotFound
from argosy.image import ImageRecord, Images, tarwrite
from argosy.image import digest as digests
from argosy.image.document import decode_document
from argosy.image.pieces import Stream
from argosy.image.platforms import choose, format_platform, parse_platform
from argosy.image.tar import REGULAR, padding
from argosy.linux.path import open_in_root
from argosy.spec.oci_image import OCI_INDEX, Descriptor, Image, Index, Manifest

# A blob by its digest, in pieces. Raises NotFound.
Blobs = Callable[[str], Iterator[bytes]]
_LARGEST_DOCUMENT = 8 << 20
_NESTING = 4
_PIECE = 1 << 20
_TAG, _NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"
_DEFAULT_TAG = "latest"


@dataclass(frozen=True, slots=True)
class Layout:
    """`digest` is that of a manifest, or of an index."""

    digest: str
    blobs: Blobs

    def load(self, images: Images, platform: str) -> tuple[ImageRecord, bool]:
        """Without a name; and whether it was not here before. Raises InvalidParameter, NotFound."""
        descriptor, manifest = self._manifest(Descriptor(digest=self.digest), platform, 0)
        config = self._document(manifest.config)
        image: Image = decode_document(config, Image, "image configuration")
        layers = manifest.layers or []
        missing = [
            layer
            for layer, diff_id in zip(layers, image.rootfs.diff_ids or [], strict=False)
            if not images.content.exists(diff_id)
        ]
        is_new = not _has(images, manifest.config.digest)
        archive = self._archive(descriptor, [descriptor, manifest.config, *missing])
        (record,) = images.load(Stream(archive), quiet=True, platform=parse_platform(platform))
        return record, is_new

    def _manifest(self, descriptor: Descriptor, platform: str, depth: int) -> tuple[Descriptor, Manifest]:
        data = self._document(descriptor)
        index: Index = decode_document(data, Index, "index")
        if not index.manifests:
            found = Descriptor(digest=descriptor.digest, size=len(data))
            return found, decode_document(data, Manifest, "manifest")
        chosen = choose(index.manifests, parse_platform(platform))
        if chosen is None or depth == _NESTING:
            raise NotFound(f"the image layout has no image for {format_platform(parse_platform(platform))}")
        return self._manifest(chosen, platform, depth + 1)

    def _document(self, descriptor: Descriptor) -> bytes:
        data = b""
        for piece in self.blobs(digests.checked(descriptor.digest)):
            data += piece
            if len(data) > _LARGEST_DOCUMENT:
                raise InvalidParameter(f"{descriptor.digest} is no manifest: it is too large")
        if digests.of_bytes(data) != descriptor.digest:
            raise InvalidParameter(f"{descriptor.digest} does not have this digest: the layout is damaged")
        return data

    def _archive(self, manifest: Descriptor, descriptors: list[Descriptor]) -> Iterator[bytes]:
        """A layout of one image, as a tar."""
        index = msgspec.json.encode(Index(media_type=OCI_INDEX, manifests=[manifest]))
        yield from _entry("index.json", [index], len(index))
        for each in {each.digest: each for each in descriptors}.values():
            name = f"blobs/sha256/{digests.checked(each.digest).removeprefix('sha256:')}"
            yield from _entry(name, self.blobs(each.digest), each.size)
        yield tarwrite.END


def _has(images: Images, image: str) -> bool:
    try:
        images.resolve(image)
    except NotFound:
        return False
    return True


def _entry(name: str, pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    yield tarwrite.header(name.encode(), REGULAR, mode=0o644, size=size)
    left = size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise InvalidParameter(f"{name} is not as large as the image layout says")
    yield bytes(padding(size))


def local_layout(path: str, reference: str) -> Layout:
    """A directory of this machine; `reference` is a digest, a tag, or "" for the latest. Raises NotFound."""
    directory = _Directory(path)
    if digests.is_digest(reference):
        return Layout(reference, directory.blob)
    index: Index = decode_document(b"".join(directory.file("index.json")), Index, "index.json")
    tag = reference or _DEFAULT_TAG
    named = {_tag(each): each.digest for each in index.manifests}
    if tag not in named and not (reference or len(index.manifests) != 1):
        return Layout(index.manifests[0].digest, directory.blob)
    if tag not in named:
        known = ", ".join(sorted(name for name in named if name))
        raise NotFound(
            f"the image layout {path} has no image {tag}",
            hint=f"It has: {known}" if known else "Name one by its digest: oci-layout://PATH@sha256:…",
        )
    return Layout(named[tag], directory.blob)


def _tag(descriptor: Descriptor) -> str:
    annotations = descriptor.annotations or {}
    return annotations.get(_TAG) or annotations.get(_NAME, "").rpartition(":")[2]


class _Directory:
    """Opened for each blob: a build may last."""

    def __init__(self, path: str) -> None:
        self._path = path

    def blob(self, digest: str) -> Iterator[bytes]:
        return self.file(f"blobs/sha256/{digests.checked(digest).removeprefix('sha256:')}")

    def file(self, name: str) -> Iterator[bytes]:
        try:
            root = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"the image layout {self._path}: {error.strerror}") from None
        try:
            descriptor = open_in_root(root, name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise NotFound(f"the image layout {self._path} has no {name}: {error.strerror}") from None
        finally:
            os.close(root)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotFound(f"the image layout {self._path}: {name} is no file")
            while data := file.read(_PIECE):
                yield data
