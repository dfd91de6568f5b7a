"""Several images under one name, and what is attested of each: an index, and the manifests that it lists.

    index
      manifest of an image, for a platform
      attestation manifest: statements as its layers, and the digest of the manifest that they are about

That is how BuildKit stores attestations (moby/buildkit, docs/attestations/attestation-storage.md). Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from argosy.image import digest as digests
from argosy.image.record import ImageRecord
from argosy.spec.oci_image import (
    IN_TOTO,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Image,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    RootFS,
)

_PREDICATE = "in-toto.io/predicate-type"
_TYPE, _SUBJECT = "vnd.docker.reference.type", "vnd.docker.reference.digest"
_UNKNOWN = Platform(architecture="unknown", os="unknown")


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement in JSON."""

    predicate_type: str
    statement: bytes


def nothing(_manifest: str) -> Sequence[Attestation]:
    return ()


@dataclass(frozen=True, slots=True)
class Part:
    """`attest` is given the digest of the image's manifest, which is not known before it is written."""

    record: ImageRecord
    attest: Callable[[str], Sequence[Attestation]] = nothing

    @property
    def platform(self) -> Platform:
        document = self.record.document
        return Platform(architecture=document.architecture, os=document.os, variant=document.variant)


@dataclass(slots=True)
class Bundle:
    """`blobs` and `manifests` are what the index needs beside the images' own content, by digest."""

    index: bytes = b""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digests.of_bytes(self.index)


def bundle(parts: Sequence[Part], manifests: Sequence[tuple[str, bytes]]) -> Bundle:
    """`manifests` are the images' media types and documents, in the order of `parts`."""
    made = Bundle()
    images, attestations = [], []
    for part, (media_type, data) in zip(parts, manifests, strict=True):
        digest = digests.of_bytes(data)
        made.manifests[digest] = data
        images.append(Descriptor(media_type, digest, len(data), platform=part.platform))
        found = part.attest(digest)
        if found:
            attestations.append(_attestation_manifest(made, digest, found))
    made.index = msgspec.json.encode(Index(media_type=OCI_INDEX, manifests=[*images, *attestations]))
    return made


def _attestation_manifest(made: Bundle, subject: str, found: Sequence[Attestation]) -> Descriptor:
    layers = []
    for each in found:
        digest = digests.of_bytes(each.statement)
        made.blobs[digest] = each.statement
        layers.append(
            Descriptor(IN_TOTO, digest, len(each.statement), annotations={_PREDICATE: each.predicate_type})
        )
    image = Image(
        architecture="unknown",
        os="unknown",
        config=ImageConfig(),
        rootfs=RootFS("layers", [layer.digest for layer in layers]),
    )
    config = msgspec.json.encode(image)
    described = Descriptor(OCI_CONFIG, digests.of_bytes(config), len(config))
    made.blobs[described.digest] = config
    data = msgspec.json.encode(Manifest(media_type=OCI_MANIFEST, config=described, layers=layers))
    digest = digests.of_bytes(data)
    made.manifests[digest] = data
    about = {_TYPE: "attestation-manifest", _SUBJECT: subject}
    return Descriptor(OCI_MANIFEST, digest, len(data), annotations=about, platform=_UNKNOWN)
