"""`docker push`: images into a registry's repository.

    layers (there already, mounted from a neighbour, or compressed and sent) → configuration → manifest

Layers go some at a time, whoever pushes. What a registry is known to have of a layer, and in which
form, is remembered, so that it is neither compressed nor sent again.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import msgspec

from argosy.errors import ArgosyError, NotFound
from argosy.image import digest as digests
from argosy.image.bundle import Part, bundle
from argosy.image.catalog import Catalog
from argosy.image.compress import gzipped
from argosy.image.content import ContentStore
from argosy.image.credentials import Credentials
from argosy.image.fetch import Stopped
from argosy.image.leases import Lease
from argosy.image.progress import Meter, Metered, Progress
from argosy.image.record import ImageRecord
from argosy.image.reference import DEFAULT_DOMAIN, Reference, parse_reference
from argosy.image.registry import NoCredentials, Registries, RegistryError, Repository
from argosy.image.upload import Retry, has_blob, mount_blob, put_blob, put_manifest, upload_blob
from argosy.spec.oci_image import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
)

_SHORT = 12


@dataclass(slots=True)
class _Push:
    """One call. `sent` holds each layer's form in the registry, by diff ID, from several threads."""

    reference: Reference
    repository: Repository
    progress: Progress
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    sent: dict[str, Descriptor] = field(default_factory=dict)


class Pusher:
    """Thread-safe."""

    def __init__(
        self, catalog: Catalog, content: ContentStore, registries: Registries, at_a_time: int
    ) -> None:
        self._catalog = catalog
        self._content = content
        self._registries = registries
        self._senders = ThreadPoolExecutor(at_a_time, thread_name_prefix="push")
        self._at_a_time = at_a_time

    def close(self) -> None:
        self._senders.shutdown(cancel_futures=True)

    def push(
        self,
        reference: Reference,
        images: Sequence[tuple[str, ImageRecord]],
        credentials: Credentials,
        progress: Progress,
        lease: Lease,
    ) -> None:
        """Each image under its tag. Raises NotFound, RegistryError, TransportError."""
        repository = self._registries.repository_for_push(reference, credentials)
        call = _Push(reference.repository(), repository, progress)
        for tag, record in images:
            lease.keep(record.id, *record.diff_ids)
            try:
                self._send_layers(call, list(dict.fromkeys(record.diff_ids)))
                self._finish(call, tag, record)
            except RegistryError as error:
                raise _translated(error, reference) from error

    def push_bundle(
        self,
        reference: Reference,
        parts: Sequence[Part],
        credentials: Credentials,
        progress: Progress,
        lease: Lease,
    ) -> str:
        """Images and what is attested of them, under the reference's tag. Returns the index's digest.

        Raises as `push`.
        """
        repository = self._registries.repository_for_push(reference, credentials)
        call = _Push(reference.repository(), repository, progress)
        try:
            manifests = []
            for part in parts:
                lease.keep(part.record.id, *part.record.diff_ids)
                self._send_layers(call, list(dict.fromkeys(part.record.diff_ids)))
                manifests.append(self._described(call, part.record, is_oci=True))
            made = bundle(parts, manifests)
            for part in parts:
                self._put_blobs(call, {part.record.id: self._content.read(part.record.id)})
            self._put_blobs(call, made.blobs)
            for digest, data in made.manifests.items():
                self._retried(call, put_manifest, digest, OCI_MANIFEST, data)
            self._retried(call, put_manifest, reference.tag, OCI_INDEX, made.index)
        except RegistryError as error:
            raise _translated(error, reference) from error
        self._told(call, reference.tag, made.digest, len(made.index))
        return made.digest

    def _put_blobs(self, call: _Push, blobs: Mapping[str, bytes]) -> None:
        for digest, data in blobs.items():
            self._retried(call, _put_missing, digest, data)

    def _retried(self, call: _Push, put: Callable[..., None], *what: object) -> None:
        retry = Retry(call.stop)
        while True:
            try:
                put(call.repository, *what)
            except ArgosyError as error:
                retry.after(error)
                continue
            return

    def _send_layers(self, call: _Push, diff_ids: list[str]) -> None:
        """The uppermost first, as Docker lists them."""
        pending = list(reversed(diff_ids))
        for diff_id in pending:
            call.progress.step(_short(diff_id), "Preparing")
        for diff_id in pending[self._at_a_time :]:
            call.progress.step(_short(diff_id), "Waiting")
        futures: list[Future[None]] = [self._senders.submit(self._send_layer, call, each) for each in pending]
        try:
            for future in futures:
                future.result()
        except BaseException:
            call.stop.set()
            raise
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def _send_layer(self, call: _Push, diff_id: str) -> None:
        if diff_id in call.sent:
            # With another tag's image, a moment ago.
            call.progress.step(_short(diff_id), "Layer already exists")
            return
        retry = Retry(call.stop)
        while True:
            try:
                descriptor = self._placed(call, diff_id) or self._uploaded(call, diff_id)
            except ArgosyError as error:
                if isinstance(error, NotFound):
                    raise
                retry.after(error)
                continue
            with call.lock:
                call.sent[diff_id] = descriptor
            self._catalog.add_layer_source(diff_id, call.reference.name, descriptor)
            return

    def _placed(self, call: _Push, diff_id: str) -> Descriptor | None:
        """The layer's form in the registry, if it is there or can be had from a neighbour."""
        known = self._catalog.layer_sources(diff_id)
        own = known.get(call.reference.name)
        forms = {form.digest: form for form in ([own] if own else []) + list(known.values())}
        for form in forms.values():
            if has_blob(call.repository, form.digest):
                call.progress.step(_short(diff_id), "Layer already exists")
                return form
        for name, form in known.items():
            neighbour = parse_reference(name)
            if neighbour.domain != call.reference.domain or name == call.reference.name:
                continue
            if mount_blob(call.repository, form.digest, neighbour.path):
                call.progress.step(_short(diff_id), f"Mounted from {neighbour.path}")
                return form
        return None

    def _uploaded(self, call: _Push, diff_id: str) -> Descriptor:
        meter = Meter(call.progress, _short(diff_id), "Pushing", self._content.size(diff_id))

        def compress() -> Iterator[bytes]:
            with self._content.open(diff_id) as blob:
                yield from _until(call.stop, gzipped(Metered(blob, meter)))

        digest, size = upload_blob(call.repository, compress)
        call.progress.step(_short(diff_id), "Pushed")
        return Descriptor(DOCKER_LAYER_GZIP, digest, size)

    def _finish(self, call: _Push, tag: str, record: ImageRecord) -> None:
        media_type, data = self._described(call, record, is_oci=False)
        digest = digests.of_bytes(data)
        self._put_blobs(call, {record.id: self._content.read(record.id)})
        self._retried(call, put_manifest, tag, media_type, data)
        self._catalog.add(
            record.id,
            record.document,
            record.size,
            references=[call.reference.with_digest(digest)],
        )
        self._told(call, tag, digest, len(data))

    def _described(self, call: _Push, record: ImageRecord, *, is_oci: bool) -> tuple[str, bytes]:
        layers = [call.sent[diff_id] for diff_id in record.diff_ids]
        return _manifest(record.id, self._content.size(record.id), layers, is_oci=is_oci)

    def _told(self, call: _Push, tag: str, digest: str, size: int) -> None:
        call.progress.status(f"{tag}: digest: {digest} size: {size}")
        call.progress.aux({"Tag": tag, "Digest": digest, "Size": size})


def _put_missing(repository: Repository, digest: str, data: bytes) -> None:
    if not has_blob(repository, digest):
        put_blob(repository, digest, data)


def _manifest(config: str, size: int, layers: list[Descriptor], *, is_oci: bool) -> tuple[str, bytes]:
    """The media type, and the document byte for byte as dockerd writes it, so that an image that came by
    a pull has the same digest where it goes. Docker's types, as long as they have words for the layers,
    unless OCI's are wanted."""
    docker = not is_oci and {layer.media_type for layer in layers} <= {DOCKER_LAYER_GZIP, OCI_LAYER_GZIP}
    names = {OCI_LAYER_GZIP: DOCKER_LAYER_GZIP} if docker else {DOCKER_LAYER_GZIP: OCI_LAYER_GZIP}
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _entry(DOCKER_CONFIG if docker else OCI_CONFIG, size, config),
        "layers": [
            _entry(names.get(each.media_type, each.media_type), each.size, each.digest) for each in layers
        ],
    }
    return media_type, msgspec.json.format(msgspec.json.encode(document), indent=3)


def _entry(media_type: str, size: int, digest: str) -> dict[str, str | int]:
    return {"mediaType": media_type, "size": size, "digest": digest}


def _until(stop: threading.Event, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if stop.is_set():
            raise Stopped("context canceled")
        yield piece


def _translated(error: RegistryError, reference: Reference) -> ArgosyError:
    if isinstance(error, NoCredentials):
        error.message = error.bare_message
    if error.code in ("DENIED", "UNAUTHORIZED"):
        login = "argosy login" if reference.domain == DEFAULT_DOMAIN else f"argosy login {reference.domain}"
        error.hint = f"Log in with an account that may push to {reference.name}: {login}"
    return error


def _short(diff_id: str) -> str:
    return diff_id.removeprefix("sha256:")[:_SHORT]
