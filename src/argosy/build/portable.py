"""A build cache that travels: in an image of its own or within the image that was built, to a registry or as
an OCI layout.

The keys are digests of what steps depend on, so they mean the same on every machine. The records are a
field of the image's configuration, and the layers that they name are the image's.
"""

import logging
import os
import stat
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

import msgspec

from argosy.build.cache import BuildCache, Record
from argosy.errors import InvalidParameter, NotFound
from argosy.image import Credentials, ImageRecord, Images
from argosy.image.platforms import host_platform
from argosy.image.reference import Reference
from argosy.linux.path import open_in_root
from argosy.spec import oci_image

log = logging.getLogger("argosy")
FIELD = "argosy.cache.v0"
Report = Callable[[Mapping[str, object]], object]


class _Holder(msgspec.Struct):
    records: list[Record] = msgspec.field(default_factory=list, name=FIELD)


class PortableCache:
    """Thread-safe."""

    def __init__(self, images: Images, cache: BuildCache) -> None:
        self._images = images
        self._cache = cache

    def push(
        self, records: Sequence[Record], reference: Reference, credentials: Credentials, report: Report
    ) -> None:
        """Raises what a push raises."""
        with _Temporary(self._images, records) as image:
            self._images.push_image(image, reference, credentials=credentials, progress=report)

    def save(self, records: Sequence[Record], write: Callable[[bytes], object]) -> None:
        """As the tar of an OCI layout."""
        with _Temporary(self._images, records) as image:
            self._images.save_image(image, [], write)

    def fetch(self, reference: Reference, credentials: Credentials, report: Report) -> int:
        """How many records came. Raises what a pull raises, InvalidParameter if there are none."""
        digest = reference.digest or self._images.remote_manifest(str(reference), credentials).digest
        name = f"{reference.name}@{digest}"
        known = self._known(name)
        image = self._images.pull(name, credentials=credentials, progress=report)
        try:
            return self._take(image)
        finally:
            if not known:
                self._images.remove(image.id, force=True)

    def load(self, layout: str) -> int:
        """From a directory with an OCI layout. Raises InvalidParameter."""
        root = _opened(layout)
        reading, writing = os.pipe()
        thread = threading.Thread(target=_send, args=(root, os.fdopen(writing, "wb")), daemon=True)
        thread.start()
        try:
            with os.fdopen(reading, "rb") as source:
                images = self._images.load(source, quiet=True)
        finally:
            thread.join()
            os.close(root)
        found = 0
        for image in images:
            found += self._take(image)
            self._images.remove_nameless(image)
        return found

    def _known(self, name: str) -> bool:
        try:
            self._images.resolve(name)
        except NotFound:
            return False
        return True

    def _take(self, image: ImageRecord) -> int:
        records = records_in(self._images.configuration(image))
        held = set(image.diff_ids)
        taken = 0
        for record in records:
            # Whoever says so must bring the layers along; a record of ours is as good.
            if held.issuperset(record.diff_ids) and self._cache.get(record.key) is None:
                self._cache.put(record)
                taken += 1
        if not records:
            raise InvalidParameter("there is no build cache in it")
        return taken


class _Temporary:
    """An image of the records' layers for the length of a `with`."""

    def __init__(self, images: Images, records: Sequence[Record]) -> None:
        self._images = images
        self._records = records
        self._lease = images.lease()

    def __enter__(self) -> ImageRecord:
        lease = self._lease.__enter__()
        layers = list(dict.fromkeys(diff_id for record in self._records for diff_id in record.diff_ids))
        platform = host_platform()
        document = oci_image.Image(
            architecture=platform.architecture,
            os=platform.os,
            config=oci_image.ImageConfig(),
            rootfs=oci_image.RootFS("layers", layers),
        )
        lease.keep(*layers)
        encoded = with_records(msgspec.json.encode(document), self._records)
        self._image = self._images.assembler.register(encoded, lease)
        return self._image

    def __exit__(self, *_: object) -> None:
        self._images.remove(self._image.id, force=True)
        self._lease.__exit__(None, None, None)


def with_records(configuration: bytes, records: Sequence[Record]) -> bytes:
    """The configuration with the records as a field of it."""
    document = msgspec.json.decode(configuration, type=dict[str, msgspec.Raw])
    plain = [msgspec.structs.replace(record, last_used=record.created, uses=0) for record in records]
    document[FIELD] = msgspec.Raw(msgspec.json.encode(sorted(plain, key=lambda record: record.key)))
    return msgspec.json.encode(document)


def records_in(configuration: bytes) -> list[Record]:
    """Raises InvalidParameter for what is no list of records."""
    try:
        return msgspec.json.decode(configuration, type=_Holder).records
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"invalid build cache: {error}") from None


def within(records: Sequence[Record], diff_ids: Sequence[str]) -> list[Record]:
    """Those of steps of the image that has these layers."""
    layers = tuple(diff_ids)
    return [record for record in records if record.diff_ids == layers[: len(record.diff_ids)]]


def _opened(layout: str) -> int:
    try:
        return os.open(layout, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidParameter(f"{layout}: {error.strerror}") from None


def _send(root: int, file: BinaryIO) -> None:
    """The layout as a tar. It ends where a file cannot be read, and whoever reads it finds it incomplete."""
    try:
        with file, tarfile.open(fileobj=file, mode="w|") as archive:
            for directory in ("", "blobs/sha256"):
                _send_files(root, directory, archive)
    except OSError as error:
        log.warning("reading a build cache: %s", error)


def _send_files(root: int, directory: str, archive: tarfile.TarFile) -> None:
    listed = open_in_root(root, directory or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in sorted(os.listdir(listed)):
            path = f"{directory}/{name}" if directory else name
            descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                continue
            with os.fdopen(descriptor, "rb") as source:
                archive.addfile(archive.gettarinfo(arcname=path, fileobj=source), source)
    finally:
        os.close(listed)
