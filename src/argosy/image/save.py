"""`docker save`: images as an archive that any engine can load.

An OCI image layout with `manifest.json` and `repositories` beside it, as Docker writes since version 25.
Layers are stored uncompressed under their diff IDs, once each. The same images give the same bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from argosy.image import digest as digests
from argosy.image import tarwrite
from argosy.image.bundle import Part, bundle
from argosy.image.content import CHUNK_SIZE, ContentStore
from argosy.image.load import ManifestItem
from argosy.image.record import ImageRecord
from argosy.image.reference import Reference
from argosy.image.tar import DIRECTORY, REGULAR, padding
from argosy.spec.oci_image import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor, Index, Manifest

Write = Callable[[bytes], object]
# A descriptor, and how many bytes from the file's beginning.
WriteFile = Callable[[int, int], object]

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


def save_images(
    images: Sequence[tuple[ImageRecord, Sequence[Reference]]],
    content: ContentStore,
    write: Write,
    write_file: WriteFile | None = None,
) -> None:
    """Each image with the tags to save it under. Raises NotFound if content is missing.

    `write_file` takes a blob from its descriptor, if there is a quicker way than by `write`.
    """
    blobs: dict[str, bytes | None] = {}
    descriptors: list[Descriptor] = []
    items: list[ManifestItem] = []
    repositories: dict[str, dict[str, str]] = {}
    for record, references in images:
        manifest = msgspec.json.encode(_manifest(record, content))
        digest = digests.of_bytes(manifest)
        blobs.update(dict.fromkeys((record.id, *record.diff_ids)))
        blobs[digest] = manifest
        descriptors += _descriptors(OCI_MANIFEST, digest, len(manifest), references)
        items.append(_item(record, references, content))
        for reference in references:
            top = record.diff_ids[-1] if record.diff_ids else record.id
            repositories.setdefault(reference.familiar_name, {})[reference.tag] = top[7:]
    _write_blobs(write, write_file, content, blobs)
    index = Index(media_type=OCI_INDEX, manifests=descriptors)
    _write_file(write, "index.json", msgspec.json.encode(index))
    _write_file(write, "manifest.json", msgspec.json.encode(items))
    _write_file(write, "oci-layout", _LAYOUT)
    if repositories:
        _write_file(write, "repositories", msgspec.json.encode(repositories, order="sorted"))
    write(tarwrite.END)


def save_bundle(
    parts: Sequence[Part], references: Sequence[Reference], content: ContentStore, write: Write
) -> str:
    """Images under the same names and what is attested of them, as an OCI layout. Returns the index's digest.

    Raises NotFound if content is missing.
    """
    encoded = [msgspec.json.encode(_manifest(part.record, content)) for part in parts]
    made = bundle(parts, [(OCI_MANIFEST, data) for data in encoded])
    blobs: dict[str, bytes | None] = {}
    for part in parts:
        blobs.update(dict.fromkeys((part.record.id, *part.record.diff_ids)))
    blobs |= {**made.blobs, **made.manifests, made.digest: made.index}
    _write_blobs(write, None, content, blobs)
    described = _descriptors(OCI_INDEX, made.digest, len(made.index), references)
    _write_file(write, "index.json", msgspec.json.encode(Index(media_type=OCI_INDEX, manifests=described)))
    _write_file(write, "oci-layout", _LAYOUT)
    write(tarwrite.END)
    return made.digest


def _write_blobs(
    write: Write, write_file: WriteFile | None, content: ContentStore, blobs: Mapping[str, bytes | None]
) -> None:
    """Those without data are in the store."""
    _write_directory(write, "blobs/")
    _write_directory(write, "blobs/sha256/")
    for digest in sorted(blobs):
        data = blobs[digest]
        if data is None:
            _write_blob(write, write_file, content, digest)
        else:
            _write_file(write, _path(digest), data)


def _manifest(record: ImageRecord, content: ContentStore) -> Manifest:
    return Manifest(
        media_type=OCI_MANIFEST,
        config=Descriptor(OCI_CONFIG, record.id, content.size(record.id)),
        layers=[_layer(diff_id, content) for diff_id in record.diff_ids],
    )


def _layer(diff_id: str, content: ContentStore) -> Descriptor:
    return Descriptor(OCI_LAYER, diff_id, content.size(diff_id))


def _descriptors(
    media_type: str, digest: str, size: int, references: Iterable[Reference]
) -> list[Descriptor]:
    named = [
        Descriptor(
            media_type,
            digest,
            size,
            annotations={
                "io.containerd.image.name": str(reference),
                "org.opencontainers.image.ref.name": reference.tag,
            },
        )
        for reference in references
    ]
    return named or [Descriptor(media_type, digest, size)]


def _item(record: ImageRecord, references: Iterable[Reference], content: ContentStore) -> ManifestItem:
    return ManifestItem(
        config=_path(record.id),
        repo_tags=[reference.familiar for reference in references] or None,
        layers=[_path(diff_id) for diff_id in record.diff_ids],
        layer_sources={diff_id: _layer(diff_id, content) for diff_id in record.diff_ids},
    )


def _path(digest: str) -> str:
    return "blobs/sha256/" + digest[7:]


def _write_directory(write: Write, name: str) -> None:
    write(tarwrite.header(name.encode(), DIRECTORY, mode=0o755))


def _write_file(write: Write, name: str, data: bytes) -> None:
    write(
        tarwrite.header(name.encode(), REGULAR, mode=0o644, size=len(data)) + data + bytes(padding(len(data)))
    )


def _write_blob(write: Write, write_file: WriteFile | None, content: ContentStore, digest: str) -> None:
    with content.open(digest) as blob:
        size = content.size(digest)
        write(tarwrite.header(_path(digest).encode(), REGULAR, mode=0o644, size=size))
        if write_file is not None:
            write_file(blob.descriptor, size)
        else:
            while data := blob.read(CHUNK_SIZE):
                write(data)
    write(bytes(padding(size)))
