"""The images that a build stands on: here already, pulled, or out of a layout."""

from typing import TYPE_CHECKING

from argosy.build.attest.provenance import Material
from argosy.build.attest.purl import image_purl, purl
from argosy.build.graph import Base
from argosy.build.progress import Progress
from argosy.errors import NotFound
from argosy.image import ImageRecord, Images, Lease, parse_reference
from argosy.image.platforms import mismatch, parse_platform
from argosy.image.reference import as_image_id

if TYPE_CHECKING:
    from argosy.build.builder import Request

_IMAGE = "docker-image://"


class Bases:
    """One build's. `materials` are where they came from, by the images' IDs."""

    def __init__(self, images: Images, request: "Request", progress: Progress, lease: Lease) -> None:
        self._images = images
        self._request = request
        self._progress = progress
        self._lease = lease
        self._borrowed: list[ImageRecord] = []
        self.materials: dict[str, Material] = {}

    def close(self) -> None:
        for image in self._borrowed:
            self._images.remove_nameless(image)
        self._borrowed.clear()

    def resolve(self, reference: str, platform: str) -> Base:
        """An image that is here, unless it is for another platform or a newer one is wanted; else pulled."""
        if reference in self._request.layouts:
            return self._laid_out(reference, platform)
        named = self._request.images.get(reference, "")
        text = named.removeprefix(_IMAGE) if named else reference
        wanted = parse_platform(platform)
        try:
            record = self._images.resolve(text)
            here = not mismatch(text, record.document, wanted)
        except NotFound:
            here = False
        if not here or self._request.pull:
            record = self._pulled(text, platform)
        if not as_image_id(text):
            self.materials[record.id] = _material(text, record, platform)
        return Base(record.id, record.document, _shown(text))

    def _laid_out(self, name: str, platform: str) -> Base:
        """An image of a layout, here for the length of the build."""
        layout = self._request.layouts[name]
        with self._progress.begin(f"[context {name}] load {layout.digest}"):
            record, is_new = layout.load(self._images, platform)
        self._lease.keep(record.id, *record.diff_ids)
        if is_new:
            self._borrowed.append(record)
        url = purl("oci", name, layout.digest, platform=platform)
        self.materials[record.id] = Material(url, layout.digest, f"{name}@{layout.digest}")
        return Base(record.id, record.document, name)

    def _pulled(self, text: str, platform: str) -> ImageRecord:
        reference = parse_reference(text).with_default_tag()
        with self._progress.begin(f"[internal] load metadata for {reference}") as step:
            return self._images.pull(
                text,
                platform=platform,
                credentials=self._request.credentials_for(reference.domain),
                progress=step.count_transfer,
            )


def _shown(text: str) -> str:
    return text if as_image_id(text) else str(parse_reference(text).with_default_tag())


def _material(text: str, record: ImageRecord, platform: str) -> Material:
    """By the digest that it has at its registry, or the image's ID if it is none of a registry's."""
    reference = parse_reference(text).with_default_tag()
    known = (parse_reference(each) for each in record.digests)
    digest = next((each.digest for each in known if each.name == reference.name), record.id)
    digest = reference.digest or digest
    return Material(image_purl(reference, platform), digest, str(reference.with_digest(digest)))
