"""Manifests at registries without their images: looking at them, and making indexes of them."""

from argosy.errors import ArgosyError, InvalidParameter
from argosy.image import digest as digests
from argosy.image.credentials import Credentials
from argosy.image.document import decode_document
from argosy.image.reference import DEFAULT_TAG, Reference
from argosy.image.registry import FetchedManifest, Registries, Repository, first_answer
from argosy.image.transport import release
from argosy.image.upload import has_blob, mount_blob, put_manifest
from argosy.spec import oci_image
from argosy.spec.oci_image import INDEXES, Descriptor, Platform

_DOCUMENT_LIMIT = 8 << 20


def fetch(registries: Registries, reference: Reference, credentials: Credentials) -> FetchedManifest:
    """What a tag or digest names. Raises NotFound, RegistryError, TransportError."""
    asked = reference.digest or reference.tag or DEFAULT_TAG
    return first_answer(registries, reference, credentials, lambda each: each.manifest(asked))


def platforms(
    registries: Registries, reference: Reference, manifest: FetchedManifest, credentials: Credentials
) -> list[Platform]:
    """Those that an image is there for."""
    if manifest.media_type in INDEXES:
        index: oci_image.Index = decode_document(manifest.data, oci_image.Index, "index")
        return [entry.platform for entry in index.manifests if entry.platform is not None]
    document: oci_image.Manifest = decode_document(manifest.data, oci_image.Manifest, "manifest")
    repository = list(registries.repositories(reference, credentials))[-1]
    response = repository.blob(digests.checked(document.config.digest))
    try:
        data = response.read(_DOCUMENT_LIMIT)
    finally:
        release(response)
    image: oci_image.Image = decode_document(data, oci_image.Image, "image configuration")
    return [Platform(architecture=image.architecture, os=image.os, variant=image.variant)]


def push_index(
    registries: Registries,
    target: Reference,
    index: bytes,
    sources: dict[str, Reference],
    credentials: Credentials,
) -> str:
    """Put an index under a tag; `sources` are where its manifests are, by digest. Returns its digest.

    Manifests of other repositories of the registry are brought along. Raises InvalidParameter.
    """
    document: oci_image.Index = decode_document(index, oci_image.Index, "index")
    repository = registries.repository_for_push(target, credentials)
    for entry in document.manifests:
        source = sources.get(entry.digest)
        if source is None or source.name == target.name:
            continue
        if source.domain != target.domain:
            raise InvalidParameter(
                f"cannot use source images from a different registry than the target image: "
                f"{source.domain} != {target.domain}"
            )
        _bring(registries, source, repository, entry, credentials)
    put_manifest(repository, target.tag or DEFAULT_TAG, document.media_type, index)
    return digests.of_bytes(index)


def _bring(
    registries: Registries, source: Reference, target: Repository, entry: Descriptor, credentials: Credentials
) -> None:
    manifest = fetch(registries, source.repository().with_digest(entry.digest), credentials)
    document: oci_image.Manifest = decode_document(manifest.data, oci_image.Manifest, "manifest")
    for blob in (document.config, *(document.layers or [])):
        digest = digests.checked(blob.digest)
        if not has_blob(target, digest) and not mount_blob(target, digest, source.path):
            raise ArgosyError(
                f"the registry does not let {source.familiar_name}'s content be used elsewhere",
                hint="Push the image to the index's own repository, and make the index of that.",
            )
    put_manifest(target, entry.digest, manifest.media_type, manifest.data)
