"""Making an image out of a configuration and layers: the last step of every way in.

The order is what makes it safe: the layers' content is durable before the configuration is written,
the configuration before the image is registered. A crash in between leaves garbage for the collector,
never an image without its content.
"""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import msgspec

from argosy import __version__
from argosy.image import digest as digests
from argosy.image.catalog import Catalog
from argosy.image.content import ContentStore
from argosy.image.document import decode_document
from argosy.image.layers import Layers, ReceivedLayer
from argosy.image.leases import Lease
from argosy.image.platforms import host_platform
from argosy.image.record import ImageRecord
from argosy.image.reference import Reference
from argosy.image.snapshot import Snapshotter
from argosy.spec import oci_image
from argosy.units import rfc3339

Write = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image to be made: on `parent` if there is one, with one layer more if there is one.

    `created_by` and `comment` are of the new step in the history. `labels` and all else are in `config`.
    """

    config: oci_image.ImageConfig
    parent: ImageRecord | None = None
    platform: oci_image.Platform = field(default_factory=host_platform)
    author: str = ""
    comment: str = ""
    created_by: str = ""


class Registrar:
    """Thread-safe."""

    def __init__(
        self, catalog: Catalog, content: ContentStore, layers: Layers, snapshotter: Snapshotter
    ) -> None:
        self._catalog = catalog
        self._content = content
        self._layers = layers
        self._snapshotter = snapshotter

    def register(
        self,
        configuration: bytes,
        received: list[ReceivedLayer],
        lease: Lease,
        *,
        references: Iterable[Reference] = (),
        parent: str = "",
    ) -> ImageRecord:
        """The image whose configuration this is, its layers being here or among the received.

        Idempotent. Raises InvalidParameter, NotFound for a layer that is not here.
        """
        document: oci_image.Image = decode_document(configuration, oci_image.Image, "image configuration")
        image = digests.of_bytes(configuration)
        diff_ids = document.rootfs.diff_ids or []
        for diff_id in diff_ids:
            digests.checked(diff_id)
        lease.keep(image)
        self._layers.lay(diff_ids, received, lease)
        self._content.put(configuration)
        size = self._layers.size(diff_ids)
        return self._catalog.add(image, document, size, parent=parent, references=references)

    def create(
        self,
        new: NewImage,
        received: ReceivedLayer | None,
        lease: Lease,
        references: Iterable[Reference] = (),
    ) -> ImageRecord:
        """An image of our own making, from now."""
        parent = new.parent
        configuration = msgspec.json.encode(_document(new, received, rfc3339(time.time_ns())))
        return self.register(
            configuration,
            [received] if received else [],
            lease,
            references=references,
            parent=parent.id if parent else "",
        )

    def commit(
        self,
        key: str,
        new: NewImage,
        lease: Lease,
        references: Iterable[Reference] = (),
        left_out: Collection[bytes] = (),
    ) -> ImageRecord:
        """An image of what the active snapshot `key`, which goes on as it is, adds to its parent.

        `left_out`: see `diff_layer`.
        """
        with self._content.ingest() as ingest:
            self._snapshotter.diff(key, ingest.write, left_out)
            size = ingest.size
            lease.keep(ingest.digest)
            diff_id = ingest.commit()
        return self.create(new, ReceivedLayer(diff_id, diff_id, size, ""), lease, references)


def _document(new: NewImage, received: ReceivedLayer | None, created: str) -> oci_image.Image:
    below = new.parent.document if new.parent else None
    diff_ids = list(new.parent.diff_ids) if new.parent else []
    if received is not None:
        diff_ids.append(received.diff_id)
    step = oci_image.History(
        created=created,
        created_by=new.created_by,
        author=new.author,
        comment=new.comment,
        empty_layer=received is None,
    )
    platform = new.platform
    return oci_image.Image(
        architecture=below.architecture if below else platform.architecture,
        os=below.os if below else platform.os,
        os_version=below.os_version if below else "",
        variant=below.variant if below else platform.variant,
        created=created,
        author=new.author,
        comment=new.comment,
        docker_version=__version__,
        config=new.config,
        rootfs=oci_image.RootFS("layers", diff_ids),
        history=[*(below.history or [] if below else []), step],
    )
