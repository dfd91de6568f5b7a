"""What was built, on its way out: an archive, a registry's repository, or trees of files.

One image goes as it is. Several platforms', or one with attestations, go as an index and what it lists.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from argosy.build.arguments import MULTI_PLATFORM, is_on
from argosy.build.attest.deliver import Attested
from argosy.build.progress import Warned
from argosy.build.several import Made
from argosy.errors import InvalidParameter
from argosy.image import Credentials, ImageRecord, Images, Reference
from argosy.image.progress import Report
from argosy.image.tree_tar import TreeTar

Write = Callable[[bytes], object]


def several_stay_nowhere() -> InvalidParameter:
    return InvalidParameter(
        "an image of several platforms cannot be stored here",
        hint="Push it (--push -t NAME), or write it to a file: --output type=oci,dest=FILE",
    )


@dataclass(frozen=True, slots=True)
class OutputTree:
    """What goes below `prefix`, which is empty or a directory's name: what `root`, a descriptor, has in it,
    and `files`."""

    prefix: str
    root: int
    files: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, tar: TreeTar) -> None:
        prefix = f"{self.prefix}/".encode() if self.prefix else b""
        if prefix:
            tar.directory(self.root, prefix)
        else:
            tar.contents(self.root, b"")
        for name, data in self.files.items():
            tar.file(prefix + name.encode(), data)


class Release:
    def __init__(self, images: Images, made: Sequence[Made]) -> None:
        self._images = images
        self._made = made
        self._attested = [Attested(each) for each in made]
        self._warned = False

    @property
    def is_several(self) -> bool:
        return len(self._made) > 1

    @property
    def is_bundle(self) -> bool:
        return self._is_split or bool(self._made[0].build.request.attest)

    @property
    def _is_split(self) -> bool:
        """What goes out has the form of several platforms' outputs, also if it is one."""
        return self.is_several or is_on(self._made[0].build.request.options.build_args, MULTI_PLATFORM)

    @property
    def image(self) -> ImageRecord:
        """The only one. Raises InvalidParameter if there are several."""
        if self.is_several:
            raise several_stay_nowhere()
        image = self._made[0].image
        assert image is not None
        return image

    def save(self, references: Sequence[Reference], write: Write, *, layout: bool) -> str:
        """An archive; with `layout`, one that may hold several. Returns the digest that it is known by."""
        if layout and self.is_bundle:
            parts = [each.part(references) for each in self._attested]
            return self._images.save_bundle(parts, references, write)
        self.warn_of_loss()
        self._images.save_image(self.image, references, write)
        return self.image.id

    def push(self, reference: Reference, credentials: Credentials, report: Report) -> None:
        """An image that is stored must have the tag already."""
        if self.is_bundle:
            parts = [each.part([reference]) for each in self._attested]
            self._images.push_bundle(parts, reference, credentials=credentials, progress=report)
        else:
            self._images.push(
                reference.familiar_name, tag=reference.tag, credentials=credentials, progress=report
            )

    @contextmanager
    def trees(self) -> Iterator[list[OutputTree]]:
        """One for each platform, in a directory of its own if there are several; within a `with`."""
        with ExitStack() as stack:
            found = []
            for made, attested in zip(self._made, self._attested, strict=True):
                prefix = made.platform.replace("/", "_") if self._is_split else ""
                root = stack.enter_context(made.build.view(made.outcome)).descriptor
                found.append(OutputTree(prefix, root, attested.files(root)))
            yield found

    def warn_of_loss(self) -> None:
        """Once, where an output cannot carry what was attested."""
        build = self._made[0].build
        if build.request.attest and not self._warned:
            self._warned = True
            build.progress.warn(
                Warned("The engine's images carry no attestations: push, or --output type=oci, local or tar")
            )
