"""What the engine sees of an image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from argosy.spec import oci_image


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image as it is now; never changed, but replaced. `created` and `last_tagged` in nanoseconds.

    `tags` and `digests` are familiar references (`nginx:latest`, `nginx@sha256:…`).
    """

    id: str
    chain_id: str | None
    config: oci_image.ImageConfig
    document: oci_image.Image
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    created: int
    parent: str
    last_tagged: int

    @property
    def diff_ids(self) -> list[str]:
        return self.document.rootfs.diff_ids or []

    @property
    def labels(self) -> dict[str, str]:
        return self.config.labels or {}


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A container that was made from an image."""

    id: str
    running: bool


# The containers made from the image with this ID.
InUse = Callable[[str], Sequence[ImageUser]]


def nobody(_: str) -> Sequence[ImageUser]:
    return ()
