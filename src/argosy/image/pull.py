"""`docker pull`: a reference becomes an image.

    reference → manifest, through an index if there is one → configuration → layers → image

The configuration names the layers' diff IDs, so what is here already is not fetched. Layers are fetched
some at a time, whoever pulls, each one hashed, inflated, stored and staged while it comes; they are
laid on one another in their order as they get ready. What was fetched before a failure stays until the
next collection, so that a second try goes on where the first stopped.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from argosy.errors import InvalidParameter, NotFound
from argosy.image import digest as digests
from argosy.image.catalog import Catalog
from argosy.image.content import ContentStore, DigestMismatch
from argosy.image.create import Registrar
from argosy.image.credentials import Credentials
from argosy.image.document import decode_document
from argosy.image.fetch import BlobSource
from argosy.image.layers import Layers, ReceivedLayer
from argosy.image.leases import Lease
from argosy.image.platforms import choose, format_platform, host_platform, mismatch
from argosy.image.progress import Meter, Metered, Progress
from argosy.image.record import ImageRecord
from argosy.image.reference import DEFAULT_TAG, Reference
from argosy.image.registry import (
    MANIFEST_LIMIT,
    FetchedManifest,
    Registries,
    RegistryError,
    Repository,
    first_answer,
    translated,
)
from argosy.image.transport import Response, TransportError
from argosy.spec import oci_image
from argosy.spec.oci_image import INDEXES, Descriptor, Platform

_NESTING_LIMIT = 4
_SHORT = 12
# What images' configurations are called; registries of other things name theirs otherwise.
_CONFIG_TYPES = (
    oci_image.OCI_CONFIG, oci_image.DOCKER_CONFIG, "application/octet-stream", "application/json",
    "text/html", "",
)  # fmt: skip


@dataclass(slots=True)
class _Pull:
    """One call. `received` grows as layers come in, from several threads."""

    repository: Repository
    progress: Progress
    lease: Lease
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    received: list[ReceivedLayer] = field(default_factory=list)
    # By diff ID.
    fetching: dict[str, Future[None]] = field(default_factory=dict)


class Puller:
    """Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        content: ContentStore,
        layers: Layers,
        registrar: Registrar,
        registries: Registries,
        at_a_time: int,
    ) -> None:
        self._catalog = catalog
        self._content = content
        self._layers = layers
        self._registrar = registrar
        self._registries = registries
        self._fetchers = ThreadPoolExecutor(at_a_time, thread_name_prefix="fetch")
        self._at_a_time = at_a_time
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}

    def close(self) -> None:
        self._fetchers.shutdown(cancel_futures=True)

    def pull(
        self,
        reference: Reference,
        platform: Platform | None,
        credentials: Credentials,
        progress: Progress,
        lease: Lease,
    ) -> ImageRecord:
        """Raises NotFound, InvalidParameter, DigestMismatch, RegistryError, TransportError."""
        record, is_new = self._pull(reference, platform, credentials, progress, lease)
        _tell_outcome(progress, is_new, reference)
        if platform is not None:
            _warn_of_platform(progress, record, platform, reference)
        return record

    def pull_all(
        self,
        repository: Reference,
        platform: Platform | None,
        credentials: Credentials,
        progress: Progress,
        lease: Lease,
    ) -> list[ImageRecord]:
        """Every tag of a repository. Those before a failure stay."""
        tags = self._tags(repository, credentials)
        pulled = [
            self._pull(repository.with_tag(tag), platform, credentials, progress, lease) for tag in tags
        ]
        _tell_outcome(progress, any(is_new for _, is_new in pulled), repository)
        return [record for record, _ in pulled]

    def _pull(
        self,
        reference: Reference,
        platform: Platform | None,
        credentials: Credentials,
        progress: Progress,
        lease: Lease,
    ) -> tuple[ImageRecord, bool]:
        """The image, and whether the reference pointed elsewhere before."""
        asked = reference.digest or reference.tag or DEFAULT_TAG
        repository, manifest = self._find(reference, asked, credentials)
        progress.status(f"Pulling from {reference.path}", str(reference) if reference.digest else asked)
        top = manifest.digest
        try:
            document = self._document(repository, manifest, platform or host_platform(), 0)
            call = _Pull(repository, progress, lease)
            configuration = self._configuration(call, document)
            pulled = self._fetch(call, document, configuration, reference, top)
        except RegistryError as error:
            raise translated(error, reference) from error
        return pulled

    # Documents

    def _find(
        self, reference: Reference, asked: str, credentials: Credentials
    ) -> tuple[Repository, FetchedManifest]:
        def find(repository: Repository) -> tuple[Repository, FetchedManifest]:
            return repository, repository.manifest(asked)

        return first_answer(self._registries, reference, credentials, find)

    def _tags(self, repository: Reference, credentials: Credentials) -> list[str]:
        return first_answer(self._registries, repository, credentials, Repository.tags)

    def _document(
        self, repository: Repository, manifest: FetchedManifest, platform: Platform, depth: int
    ) -> oci_image.Manifest:
        if manifest.media_type not in INDEXES:
            document: oci_image.Manifest = decode_document(manifest.data, oci_image.Manifest, "manifest")
            return document
        index: oci_image.Index = decode_document(manifest.data, oci_image.Index, "index")
        chosen = choose(index.manifests, platform)
        if chosen is None or depth == _NESTING_LIMIT:
            raise NotFound(
                f"no matching manifest for {format_platform(platform)} in the manifest list entries"
            )
        following = repository.manifest(digests.checked(chosen.digest))
        return self._document(repository, following, platform, depth + 1)

    def _configuration(self, call: _Pull, document: oci_image.Manifest) -> bytes:
        descriptor = document.config
        if descriptor.media_type not in _CONFIG_TYPES:
            raise InvalidParameter(f'Encountered remote "{descriptor.media_type}"(unknown) when fetching')
        digest = digests.checked(descriptor.digest)
        call.lease.keep(digest)
        if self._content.exists(digest):
            data = self._content.read(digest)
        else:
            data = self._small_blob(call, descriptor)
        image: oci_image.Image = decode_document(data, oci_image.Image, "image configuration")
        if len(image.rootfs.diff_ids or []) != len(document.layers or []):
            raise InvalidParameter("layers from manifest don't match image configuration")
        return data

    def _small_blob(self, call: _Pull, descriptor: Descriptor) -> bytes:
        if descriptor.size > MANIFEST_LIMIT:
            raise InvalidParameter(f"image configuration is larger than {MANIFEST_LIMIT} bytes")
        source = self._source(call, descriptor)
        try:
            data = b"".join(iter(lambda: source.read(MANIFEST_LIMIT), b""))
        finally:
            source.close()
        if digests.of_bytes(data) != descriptor.digest:
            raise DigestMismatch(f"image config verification failed for digest {descriptor.digest}")
        return data

    # Layers

    def _fetch(
        self,
        call: _Pull,
        document: oci_image.Manifest,
        configuration: bytes,
        reference: Reference,
        top: str,
    ) -> tuple[ImageRecord, bool]:
        image: oci_image.Image = decode_document(configuration, oci_image.Image, "image configuration")
        diff_ids = [digests.checked(diff_id) for diff_id in image.rootfs.diff_ids or []]
        descriptors = document.layers or []
        call.lease.keep(*diff_ids)
        try:
            known = self._catalog.get(document.config.digest) is not None
            if not known or not all(self._content.exists(diff_id) for diff_id in diff_ids):
                self._start(call, diff_ids, descriptors)
            self._lay(call, diff_ids, descriptors)
            pointed = [reference.repository().with_digest(top)]
            if not reference.digest:
                pointed.append(reference)
            before = self._catalog.target(pointed[-1])
            record = self._registrar.register(configuration, call.received, call.lease, references=pointed)
        except BaseException:
            call.stop.set()
            raise
        finally:
            self._settle(call)
        for diff_id, descriptor in zip(diff_ids, descriptors, strict=True):
            self._catalog.add_layer_source(diff_id, reference.name, descriptor)
        call.progress.status(f"Digest: {top}")
        return record, before != record.id

    def _start(self, call: _Pull, diff_ids: list[str], descriptors: list[Descriptor]) -> None:
        missing: dict[str, Descriptor] = {}
        for diff_id, descriptor in zip(diff_ids, descriptors, strict=True):
            name = _short(descriptor)
            if self._content.exists(diff_id):
                call.progress.step(name, "Already exists")
            else:
                missing.setdefault(diff_id, descriptor)
                call.progress.step(name, "Pulling fs layer")
        for descriptor in list(missing.values())[self._at_a_time :]:
            call.progress.step(_short(descriptor), "Waiting")
        for diff_id, descriptor in missing.items():
            call.fetching[diff_id] = self._fetchers.submit(self._fetch_layer, call, diff_id, descriptor)

    def _lay(
        self,
        call: _Pull,
        diff_ids: list[str],
        descriptors: list[Descriptor],
    ) -> None:
        parent: str | None = None
        for chain, diff_id, descriptor in zip(
            digests.chain_ids(diff_ids), diff_ids, descriptors, strict=True
        ):
            future = call.fetching.get(diff_id)
            if future is not None:
                future.result()
                call.progress.bar(_short(descriptor), "Extracting", descriptor.size, descriptor.size)
            self._layers.lay_one(chain, parent, diff_id, call.received, call.lease)
            if future is not None:
                call.progress.step(_short(descriptor), "Pull complete")
            parent = chain

    def _fetch_layer(self, call: _Pull, diff_id: str, descriptor: Descriptor) -> None:
        name = _short(descriptor)
        with self._one_at_a_time(diff_id):
            if self._content.exists(diff_id):
                # Another pull brought it meanwhile.
                call.progress.step(name, "Download complete")
                return
            source = self._source(call, descriptor)
            try:
                metered = Metered(source, Meter(call.progress, name, "Downloading", descriptor.size))
                layer = self._layers.receive(
                    metered, call.lease, expected=digests.checked(descriptor.digest), diff_id=diff_id
                )
            finally:
                source.close()
        with call.lock:
            call.received.append(layer)
        call.progress.step(name, "Verifying Checksum")
        call.progress.step(name, "Download complete")

    def _source(self, call: _Pull, descriptor: Descriptor) -> BlobSource:
        digests.checked(descriptor.digest)

        def open_at(offset: int, until: int) -> Response:
            end = until if until < descriptor.size else None
            try:
                return call.repository.blob(descriptor.digest, offset, end)
            except RegistryError as error:
                if error.answered != 404 or not descriptor.urls:
                    raise
                return _foreign(call.repository, descriptor.urls, offset, end)

        return BlobSource(open_at, descriptor.size, call.stop)

    def _settle(self, call: _Pull) -> None:
        """Nothing of this call goes on or stays staged after it."""
        for future in call.fetching.values():
            future.cancel()
        wait(call.fetching.values())
        self._layers.forget(call.received)

    @contextmanager
    def _one_at_a_time(self, diff_id: str) -> Iterator[None]:
        """Spares a second download, no more: both would be right."""
        with self._lock:
            lock = self._fetching.setdefault(diff_id, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._lock:
                if not lock.locked():
                    self._fetching.pop(diff_id, None)


def _foreign(repository: Repository, urls: list[str], offset: int, end: int | None) -> Response:
    """From the first of the places that has it."""
    for url in urls[:-1]:
        try:
            return repository.foreign(url, offset, end)
        except (RegistryError, TransportError):
            continue
    return repository.foreign(urls[-1], offset, end)


def _tell_outcome(progress: Progress, is_new: bool, reference: Reference) -> None:
    outcome = "Downloaded newer image" if is_new else "Image is up to date"
    progress.status(f"Status: {outcome} for {reference.familiar}")


def _warn_of_platform(
    progress: Progress, record: ImageRecord, platform: Platform, reference: Reference
) -> None:
    """A manifest that is no index is taken whatever it is for; to run it on the platform fails later."""
    difference = mismatch(reference.familiar, record.document, platform)
    if difference:
        progress.status(f"WARNING: {difference}")


def _short(descriptor: Descriptor) -> str:
    return descriptor.digest.removeprefix("sha256:")[:_SHORT]
