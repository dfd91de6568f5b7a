"""`docker rmi`: which references go, whether the image goes with them, and what stands against it.

A name is untagged; only when nothing points at the image any more is it deleted, and with it the
untagged images that it was built from, each unless it is in use. An ID means the image itself. As
moby's daemon/images/image_delete.go.

Hard conflicts (images built from it, a running container) hold even against force.
"""

from collections.abc import Callable, Sequence

from argosy.errors import Conflict, NotFound
from argosy.ids import short
from argosy.image.catalog import Catalog
from argosy.image.record import ImageRecord, ImageUser, InUse
from argosy.image.reference import Reference, as_image_id, parse_reference
from argosy.spec.docker_image import ImageDeleteResponseItem

Event = Callable[[str, str, str], None]


class Deletion:
    """One call's work. `log(action, image, name)` hears of each step that was taken."""

    def __init__(self, catalog: Catalog, in_use: InUse, log: Event) -> None:
        self._catalog = catalog
        self._in_use = in_use
        self._log = log
        self.items: list[ImageDeleteResponseItem] = []
        # Whose layers may be unreferenced now, in the order of their deletion.
        self.deleted: list[ImageRecord] = []

    def remove(self, text: str, *, force: bool, prune_parents: bool) -> None:
        """Raises NotFound, Conflict."""
        record = self._catalog.find(text)
        if record is None:
            raise no_such_image(text)
        references = self._catalog.references(record.id)
        untagged = False
        if not _names_the_id(text, record.id):
            if not force and _single(references):
                self._refuse_if_used(text, record)
            if self._untag_name(parse_reference(text).with_default_tag(), record):
                return
            untagged = True
        elif _single(references):
            self._refuse_if(record, soft=not force, references_count=False)
            for reference in references:
                self._untag(reference, record.id)
        self._delete(record, force=force, prune_parents=prune_parents, quiet=untagged)

    def remove_unused(self, record: ImageRecord, names: Sequence[str]) -> None:
        """By all these names, as far as nothing stands against it."""
        for name in names:
            if self._catalog.get(record.id) is None:
                return
            try:
                self.remove(name, force=False, prune_parents=True)
            except (Conflict, NotFound):
                continue

    def _untag_name(self, reference: Reference, record: ImageRecord) -> bool:
        """Whether something still points at the image."""
        if reference.digest:
            reference = reference.without_tag()
        self._untag(reference, record.id)
        remaining = self._catalog.references(record.id)
        same_repository = [r for r in remaining if r.name == reference.name]
        if not reference.digest and all(r.digest for r in same_repository):
            # Digests alone keep nothing: they came with the tag.
            for left in same_repository:
                self._untag(left, record.id)
            remaining = self._catalog.references(record.id)
        return bool(remaining)

    def _untag(self, reference: Reference, image: str) -> None:
        self._catalog.unpoint(reference)
        self._log("untag", image, image)
        self.items.append(ImageDeleteResponseItem(untagged=reference.familiar))

    def _delete(self, record: ImageRecord, *, force: bool, prune_parents: bool, quiet: bool) -> None:
        try:
            self._refuse_if(record, soft=not force, references_count=True)
        except Conflict:
            # What was asked for, the untagging, is done; a dangling image that is free would be news.
            dangling = not self._catalog.references(record.id) and not self._catalog.children(record.id)
            if quiet and (not dangling or self._in_use(record.id)):
                return
            raise
        for reference in self._catalog.references(record.id):
            self._untag(reference, record.id)
        # Before it is gone: the event carries its labels.
        self._log("delete", record.id, record.id)
        self._catalog.delete(record.id)
        self.items.append(ImageDeleteResponseItem(deleted=record.id))
        self.deleted.append(record)
        parent = self._catalog.get(record.parent)
        if prune_parents and parent is not None:
            self._delete(parent, force=False, prune_parents=True, quiet=True)

    def _refuse_if_used(self, text: str, record: ImageRecord) -> None:
        for user in self._in_use(record.id):
            raise Conflict(
                f'conflict: unable to remove repository reference "{text}" (must force) - '
                f"container {short(user.id)} is using its referenced image {short(record.id)}"
            )

    def _refuse_if(self, record: ImageRecord, *, soft: bool, references_count: bool) -> None:
        users = self._in_use(record.id)
        if self._catalog.children(record.id):
            raise _conflict(record, "cannot be forced", "image has dependent child images")
        if running := _first(users, running=True):
            reason = f"image is being used by running container {short(running.id)}"
            raise _conflict(record, "cannot be forced", reason)
        if not soft:
            return
        if references_count and self._catalog.references(record.id):
            raise _conflict(record, "must be forced", "image is referenced in multiple repositories")
        if stopped := _first(users, running=False):
            reason = f"image is being used by stopped container {short(stopped.id)}"
            raise _conflict(record, "must be forced", reason)


def no_such_image(text: str) -> NotFound:
    """Docker's text: a name is shown with its tag, an ID as it was given."""
    shown = text if as_image_id(text) else parse_reference(text).with_default_tag().familiar
    return NotFound(f"No such image: {as_image_id(text) or shown}")


def _conflict(record: ImageRecord, remedy: str, reason: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {short(record.id)} ({remedy}) - {reason}")


def _first(users: Sequence[ImageUser], *, running: bool) -> ImageUser | None:
    return next((user for user in users if user.running == running), None)


def _names_the_id(text: str, image: str) -> bool:
    return image.startswith((text, "sha256:" + text))


def _single(references: list[Reference]) -> bool:
    """At most one tag, any digests being of its repository."""
    if len(references) <= 1:
        return True
    tags = [r for r in references if not r.digest]
    repositories = {r.name for r in references if r.digest}
    if len(tags) > 1 or len(repositories) != 1:
        return False
    return not tags or tags[0].name in repositories
