"""Everything about images, for the engine: one object that holds the parts together.

An image comes in by `pull`, `load`, `import_`, `create` or `commit`, goes out by `save`, and away by
`remove` and `prune`. Whoever works with content over several calls takes a `lease` first.
"""

import itertools
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from argosy.database import Database
from argosy.errors import ArgosyError, InvalidParameter, NotFound
from argosy.image import describe, manifests, query, registry_service
from argosy.image import digest as digests
from argosy.image.assemble import Assembler
from argosy.image.bundle import Part
from argosy.image.catalog import Catalog
from argosy.image.changes import apply_changes
from argosy.image.check import Checked, check_store
from argosy.image.content import ContentStore
from argosy.image.create import NewImage, Registrar
from argosy.image.credentials import Credentials
from argosy.image.delete import Deletion, no_such_image
from argosy.image.drivers import choose_snapshotter, remove_leftovers
from argosy.image.gc import Collected, Collector, Roots
from argosy.image.layers import Layers
from argosy.image.leases import Lease, Leases
from argosy.image.load import Loader
from argosy.image.platforms import format_platform, host_platform, mismatch, parse_platform
from argosy.image.progress import Progress, Report, silent
from argosy.image.pull import Puller
from argosy.image.push import Pusher
from argosy.image.query import ContainerCounts, Filters
from argosy.image.record import ImageRecord, InUse, nobody
from argosy.image.reference import Reference, as_image_id, parse_reference
from argosy.image.registry import FetchedManifest, Registries
from argosy.image.save import WriteFile, save_bundle, save_images
from argosy.image.snapshot import Snapshotter
from argosy.image.tar import Source
from argosy.spec import docker_image, oci_image

# Hears of an action, the image or reference that it was done to, and its attributes.
OnEvent = Callable[[str, str, dict[str, str]], object]
log = logging.getLogger("argosy.image")
Write = Callable[[bytes], object]
# Within `Images`, `list` is a method.
Summaries = list[docker_image.ImageSummary]
Steps = list[docker_image.HistoryResponseItem]
Deleted = list[docker_image.ImageDeleteResponseItem]
Records = list[ImageRecord]
Tagged = list[tuple[ImageRecord, list[Reference]]]


def _unheard(_action: str, _actor: str, _attributes: dict[str, str]) -> None:
    pass


class Images:
    """Thread-safe. All calls may block, except `resolve`."""

    def __init__(
        self,
        root: str,
        database: Database,
        snapshotter: Snapshotter | None = None,
        *,
        storage_driver: str = "",
        insecure_registries: Sequence[str] = (),
        mirrors: Sequence[str] = (),
        downloads: int = 3,
        uploads: int = 5,
        on_event: OnEvent = _unheard,
        in_use: InUse = nobody,
    ) -> None:
        """`storage_driver` is a snapshotter's name, or "" for the best that the kernel can do. `mirrors`
        are asked before Docker Hub. So many layers are on their way at a time, down and up. `in_use` must
        not call back. Raises InvalidParameter.
        """
        os.makedirs(root, mode=0o700, exist_ok=True)
        self._root = root
        self._content = ContentStore(root)
        self._content.clean()
        if snapshotter is None:
            choice = choose_snapshotter(root, self._content, storage_driver)
            snapshotter, self.storage_reason = choice.snapshotter, choice.reason
        else:
            self.storage_reason = "given"
        self._snapshotter = snapshotter
        self._catalog = Catalog(database, self._content)
        self._leases = Leases()
        self._layers = Layers(self._content, self._snapshotter, self._catalog)
        self._registrar = Registrar(self._catalog, self._content, self._layers, self._snapshotter)
        self._collector = Collector(self._catalog, self._content, self._snapshotter, self._leases)
        self._registries = Registries(insecure=insecure_registries, mirrors=mirrors)
        self._puller = Puller(
            self._catalog, self._content, self._layers, self._registrar, self._registries, downloads
        )
        self._pusher = Pusher(self._catalog, self._content, self._registries, uploads)
        self._on_event = on_event
        self._in_use = in_use
        self.assembler = Assembler(
            self._content, self._layers, self._snapshotter, self._registrar, os.path.join(root, "view")
        )

    @property
    def snapshotter(self) -> Snapshotter:
        return self._snapshotter

    @property
    def content(self) -> ContentStore:
        return self._content

    # What there is

    def resolve(self, text: str) -> ImageRecord:
        """The image that a name, an ID or the beginning of an ID means. Never waits for the disk.

        Raises NotFound, InvalidParameter.
        """
        record = self._catalog.find(text)
        if record is None:
            raise no_such_image(text)
        return record

    def list(
        self,
        filters: Filters | None = None,
        *,
        all: bool = False,
        shared_size: bool = False,
        containers: ContainerCounts | None = None,
    ) -> Summaries:
        return query.select(
            self._catalog,
            self._layers,
            filters or {},
            every=all,
            shared_size=shared_size,
            containers=containers,
        )

    def inspect(self, text: str) -> docker_image.ImageInspect:
        return describe.inspect(self.resolve(text), self._snapshotter)

    def history(self, text: str) -> Steps:
        return describe.history(self.resolve(text), self._catalog, self._snapshotter)

    def layers(self) -> set[str]:
        """The diff IDs of all layers of images."""
        return {diff_id for record in self._catalog.all() for diff_id in record.diff_ids}

    def layers_size(self) -> int:
        """What the layers of all images take on disk, those shared counted once."""
        diff_ids = self.layers()
        snapshots = sum(
            self._snapshotter.allocated(info.id) for info in self._snapshotter.walk() if info.committed
        )
        return snapshots + sum(self._content.size(each) for each in diff_ids if self._content.exists(each))

    def check(self, *, repair: bool = False) -> Iterator[Checked]:
        """Read everything through. With `repair`, content that is damaged goes, so that it can come again."""
        for found in check_store(self._catalog, self._content, self._snapshotter):
            if repair and found.kind == "content" and found.problem:
                self._content.delete(found.name)
            yield found

    # Registries

    def login(self, address: str, credentials: Credentials) -> str:
        """Returns an identity token, or "". Raises Unauthorized, TransportError."""
        return registry_service.authenticate(self._registries, address, credentials)

    def search(
        self, term: str, limit: int | None, filters: Filters, credentials: Credentials
    ) -> Sequence[registry_service.Found]:
        wanted = {name: list(values) for name, values in filters.items()}
        return registry_service.search(self._registries, term, limit, wanted, credentials)

    def remote_manifest(self, name: str, credentials: Credentials) -> FetchedManifest:
        """A registry's manifest or index. Raises NotFound, InvalidParameter."""
        return manifests.fetch(self._registries, parse_reference(name), credentials)

    def remote_platforms(
        self, name: str, manifest: FetchedManifest, credentials: Credentials
    ) -> Sequence[oci_image.Platform]:
        return manifests.platforms(self._registries, parse_reference(name), manifest, credentials)

    def push_index(
        self, name: str, index: bytes, sources: Mapping[str, str], credentials: Credentials
    ) -> str:
        """`sources` has the names of the index's manifests by digest. Returns the index's digest."""
        found = {digest: parse_reference(source) for digest, source in sources.items()}
        return manifests.push_index(self._registries, parse_reference(name), index, found, credentials)

    # How images come and go

    def tag(self, text: str, repository: str, tag: str = "") -> None:
        """Raises NotFound, InvalidParameter."""
        record = self.resolve(text)
        reference = _target(repository, tag)
        self._catalog.add(record.id, record.document, record.size, references=[reference])
        self._event("tag", record.id, reference.familiar)

    def remove(self, text: str, *, force: bool = False, prune_children: bool = True) -> Deleted:
        """Untag, and delete what nothing points at any more. Raises NotFound, Conflict."""
        deletion = self._deletion()
        try:
            deletion.remove(text, force=force, prune_parents=prune_children)
        finally:
            self._sweep(deletion)
        return deletion.items

    def remove_nameless(self, record: ImageRecord) -> None:
        """An image that was only needed for a while, unless somebody has named or uses it. Idempotent."""
        deletion = self._deletion()
        if not self._in_use(record.id) and self._catalog.delete_nameless(record.id):
            deletion.deleted.append(record)
        self._sweep(deletion)

    def prune(self, filters: Filters | None = None) -> docker_image.ImagePruneResponse:
        deletion = self._deletion()
        for record, names in query.prunable(self._catalog, filters or {}):
            deletion.remove_unused(record, names)
        collected = self._sweep(deletion)
        reclaimed = collected.snapshot_bytes + collected.content_bytes
        return docker_image.ImagePruneResponse(deletion.items or None, reclaimed)

    def pull(
        self,
        reference_text: str,
        *,
        tag: str = "",
        platform: str | None = None,
        credentials: Credentials | None = None,
        progress: Report = silent,
    ) -> ImageRecord:
        """`tag` may be a digest. Raises NotFound, InvalidParameter, and other ArgosyErrors."""
        reference = _pulled(reference_text, tag)
        wanted = parse_platform(platform) if platform else None
        with self._leases.take() as lease:
            record = self._puller.pull(
                reference, wanted, credentials or Credentials(), Progress(progress), lease
            )
        self._on_event("pull", reference.familiar, {**record.labels, "name": reference.familiar_name})
        return record

    def pull_all_tags(
        self,
        repository: str,
        *,
        platform: str | None = None,
        credentials: Credentials | None = None,
        progress: Report = silent,
    ) -> Records:
        """As `pull`."""
        reference = parse_reference(repository).repository()
        wanted = parse_platform(platform) if platform else None
        with self._leases.take() as lease:
            records = self._puller.pull_all(
                reference, wanted, credentials or Credentials(), Progress(progress), lease
            )
        self._on_event("pull", reference.familiar, {"name": reference.familiar_name})
        return records

    def push(
        self,
        name: str,
        *,
        tag: str = "",
        platform: oci_image.Platform | None = None,
        credentials: Credentials | None = None,
        progress: Report = silent,
    ) -> None:
        """The image of a tag, or without one every tag of the repository. Raises NotFound, InvalidParameter,
        and other ArgosyErrors."""
        parsed = parse_reference(name)
        if parsed.digest:
            raise InvalidParameter("cannot push a digest reference")
        reference = parsed.with_tag(tag) if tag else parsed
        told = Progress(progress)
        if platform is not None and reference.tag:
            different = mismatch(reference.familiar, self.resolve(reference.familiar).document, platform)
            if different:
                raise NotFound(different)
        told.status(f"The push refers to repository [{reference.name}]")
        tagged = {r.tag: image for r, image in self._catalog.references_of(reference) if r.tag}
        if not tagged:
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
        if reference.tag and reference.tag not in tagged:
            raise NotFound(f"tag does not exist: {reference.familiar}")
        chosen = {reference.tag: tagged[reference.tag]} if reference.tag else tagged
        images = [(each, self.resolve(image)) for each, image in sorted(chosen.items())]
        with self._leases.take() as lease:
            self._pusher.push(reference.repository(), images, credentials or Credentials(), told, lease)
        for each, record in images:
            pushed = reference.repository().with_tag(each)
            attributes = {**record.labels, "name": pushed.familiar_name}
            self._on_event("push", pushed.familiar, attributes)

    def push_image(
        self,
        record: ImageRecord,
        reference: Reference,
        *,
        credentials: Credentials | None = None,
        progress: Report = silent,
    ) -> None:
        """As `push`, under a name that it need not have here."""
        images = [(reference.tag, record)]
        with self._leases.take() as lease:
            self._pusher.push(
                reference.repository(), images, credentials or Credentials(), Progress(progress), lease
            )

    def push_bundle(
        self,
        parts: Sequence[Part],
        reference: Reference,
        *,
        credentials: Credentials | None = None,
        progress: Report = silent,
    ) -> str:
        """Images of several platforms, or with attestations, under one tag. Returns the index's digest."""
        with self._leases.take() as lease:
            return self._pusher.push_bundle(
                reference, parts, credentials or Credentials(), Progress(progress), lease
            )

    def configuration(self, record: ImageRecord) -> bytes:
        """As it is stored."""
        return self._content.read(record.id)

    def load(
        self,
        stream: Source,
        *,
        progress: Report = silent,
        quiet: bool = False,
        platform: oci_image.Platform | None = None,
    ) -> Records:
        """Raises InvalidParameter for an archive that is none; images before the damage stay."""
        loader = Loader(
            self._catalog,
            self._content,
            self._layers,
            self._registrar,
            Progress(progress),
            quiet=quiet,
            platform=platform,
        )
        with self._leases.take() as lease:
            records = loader.load(stream, lease)
        for record in records:
            self._event("load", record.id, record.id)
        return records

    def save(self, names: Sequence[str], write: Write, write_file: WriteFile | None = None) -> None:
        """A name saves its tag, a bare repository all its tags, an ID the image without one.

        `write_file` takes a blob from its descriptor, if there is a quicker way than by `write`.
        """
        chosen: dict[str, list[Reference]] = {}
        for name in names:
            for record, references in self._saved(name):
                known = chosen.setdefault(record.id, [])
                known += [reference for reference in references if reference not in known]
        with self._leases.take() as lease:
            lease.keep(*chosen)
            records = [self.resolve(image) for image in chosen]
            for record in records:
                lease.keep(*record.diff_ids)
            images = [(record, chosen[record.id]) for record in records]
            save_images(images, self._content, write, write_file)
        for record in records:
            self._event("save", record.id, record.id)

    def check_saved(self, names: Sequence[str], platform: oci_image.Platform | None = None) -> None:
        """Whether `save` can. Raises NotFound."""
        for record, _ in itertools.chain.from_iterable(map(self._saved, names)):
            if platform is not None and mismatch("", record.document, platform):
                raise NotFound(f"no suitable export target found for platform {format_platform(platform)}")

    def require_platform(self, name: str, platform: oci_image.Platform) -> None:
        """Raises NotFound if the image is none for it."""
        different = mismatch(name, self.resolve(name).document, platform)
        if different:
            raise NotFound(different)

    def save_image(self, record: ImageRecord, references: Sequence[Reference], write: Write) -> None:
        """As `save`, under names that it need not have here."""
        with self._leases.take() as lease:
            lease.keep(record.id, *record.diff_ids)
            save_images([(record, references)], self._content, write)

    def save_bundle(self, parts: Sequence[Part], references: Sequence[Reference], write: Write) -> str:
        """As an OCI layout. Returns the index's digest."""
        with self._leases.take() as lease:
            for part in parts:
                lease.keep(part.record.id, *part.record.diff_ids)
            return save_bundle(parts, references, self._content, write)

    def import_(
        self,
        stream: Source,
        *,
        repository: str = "",
        tag: str = "",
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
        origin: str = "-",
    ) -> str:
        """A root file system's tar, compressed or not, as an image of one layer. Returns its ID.

        `origin`: where it comes from, for the history.
        """
        references = [_target(repository, tag)] if repository else []
        wanted = parse_platform(platform) if platform else host_platform()
        if wanted.os != "linux":
            raise InvalidParameter("operating system is not supported")
        new = NewImage(
            config=apply_changes(oci_image.ImageConfig(), changes),
            platform=wanted,
            comment=message or f"Imported from {origin}",
        )
        with self._leases.take() as lease:
            received = self._layers.receive(stream, lease)
            try:
                record = self._registrar.create(new, received, lease, references)
            finally:
                self._layers.forget([received])
        self._event("import", record.id, record.id)
        return record.id

    def create(
        self,
        new: NewImage,
        layer: Source | None = None,
        *,
        repository: str = "",
        tag: str = "",
    ) -> ImageRecord:
        """An image of our own making, of a layer's tar if it has one more than its parent."""
        references = [_target(repository, tag)] if repository else []
        with self._leases.take() as lease:
            self._keep_parent(new, lease)
            if layer is None:
                return self._registrar.create(new, None, lease, references)
            received = self._layers.receive(layer, lease)
            try:
                return self._registrar.create(new, received, lease, references)
            finally:
                self._layers.forget([received])

    def commit(
        self,
        key: str,
        new: NewImage,
        *,
        repository: str = "",
        tag: str = "",
        left_out: Collection[bytes] = (),
    ) -> ImageRecord:
        """An image of a container's root, which goes on as it is. `new.parent` is what it stands on.

        `left_out`: see `diff_layer`. Raises InvalidParameter.
        """
        references = [_target(repository, tag)] if repository else []
        with self._leases.take() as lease:
            self._keep_parent(new, lease)
            return self._registrar.commit(key, new, lease, references, left_out)

    # What holds it together

    def lease(self) -> Lease:
        """Keep content and snapshots from the collector for the length of a `with`."""
        return self._leases.take()

    def add_roots(self, roots: Roots) -> None:
        """Name content that the collector must not touch. Before `recover`."""
        self._collector.add_roots(roots)

    def collect(self) -> Collected:
        """Delete what nothing needs."""
        return self._collector.collect()

    def recover(self, active_keys: set[str], *, running: bool = False) -> None:
        """Once at the start: remove roots of containers that are gone, and put back what a power cut took.

        `running`: some container runs, on layers that another snapshotter may have laid.
        """
        if not running:
            remove_leftovers(self._root, self._snapshotter)
        for info in [*self._snapshotter.walk()]:
            if not info.committed and info.id not in active_keys:
                self._snapshotter.remove(info.id)
        with self._leases.take() as lease:
            for record in self._catalog.all():
                if record.chain_id is not None and not self._snapshotter.exists(record.chain_id):
                    self._lay_again(record, lease)
        self.collect()

    def _lay_again(self, record: ImageRecord, lease: Lease) -> None:
        """Another snapshotter than before takes another size for it, too."""
        try:
            self._layers.lay(record.diff_ids, [], lease)
        except ArgosyError as error:
            # The other images are whole; this one says what is wrong when it is used.
            log.error("image %s cannot be used: %s", record.tags[0] if record.tags else record.id, error)
            return
        self._catalog.resize(record.id, self._layers.size(record.diff_ids))

    def close(self) -> None:
        self.assembler.close()
        self._puller.close()
        self._pusher.close()
        self._layers.close()
        self._registries.close()
        self._snapshotter.close()

    def _keep_parent(self, new: NewImage, lease: Lease) -> None:
        if new.parent is not None:
            lease.keep(*new.parent.diff_ids, *digests.chain_ids(new.parent.diff_ids))

    def _deletion(self) -> Deletion:
        return Deletion(self._catalog, self._in_use, self._event)

    def _sweep(self, deletion: Deletion) -> Collected:
        """Collect, and say which layers went with the deleted images."""
        if not deletion.deleted:
            return Collected()
        collected = self.collect()
        told: set[str] = set()
        for record in deletion.deleted:
            for chain in reversed(digests.chain_ids(record.diff_ids)):
                if chain in collected.chains and chain not in told:
                    told.add(chain)
                    deletion.items.append(docker_image.ImageDeleteResponseItem(deleted=chain))
        return collected

    def _saved(self, name: str) -> Tagged:
        record = self._catalog.find(name)
        if as_image_id(name) or (record is not None and _is_prefix_of(name, record.id)):
            return [(self.resolve(name), [])]
        reference = parse_reference(name)
        if reference.digest:
            return [(self.resolve(name), [])]
        if reference.tag:
            return [(self.resolve(name), [reference])]
        tagged = [(r, image) for r, image in self._catalog.references_of(reference) if r.tag]
        if not tagged:
            raise NotFound(f"No such image: {name}")
        return [(self.resolve(image), [r]) for r, image in tagged]

    def _event(self, action: str, image: str, name: str) -> None:
        record = self._catalog.get(image)
        labels = record.labels if record is not None else {}
        self._on_event(action, image, {**labels, "name": name})


def _target(repository: str, tag: str) -> Reference:
    """Where a tag is to point. Raises InvalidParameter."""
    reference = parse_reference(repository)
    if reference.digest:
        raise InvalidParameter("refusing to create a tag with a digest reference")
    if reference.familiar_name == "sha256":
        raise InvalidParameter("refusing to create an ambiguous tag using digest algorithm as name")
    return (reference.with_tag(tag) if tag else reference).with_default_tag()


def _pulled(text: str, tag: str) -> Reference:
    reference = parse_reference(text)
    if digests.is_digest(tag):
        return reference.with_digest(tag)
    return (reference.with_tag(tag) if tag else reference).with_default_tag()


def _is_prefix_of(name: str, image: str) -> bool:
    return image.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))
