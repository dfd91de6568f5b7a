"""What a build attests, of what each output has: an image's manifest, or the files of a tree."""

from collections.abc import Sequence

from argosy.build.attest.collect import predicates
from argosy.build.attest.purl import image_purl
from argosy.build.attest.statement import Predicate, Subject
from argosy.build.attest.tree import Tree
from argosy.build.several import Made
from argosy.image import Reference
from argosy.image.bundle import Attestation, Part

# A subject needs a name, and this is what BuildKit gives to what has none.
_NAMELESS = "_"


class Attested:
    """One build's. What is attested is found out once, when the first output needs it."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._found: list[Predicate] | None = None

    @property
    def _predicates(self) -> list[Predicate]:
        if self._found is None:
            self._found = predicates(self._made.build, self._made.outcome)
        return self._found

    def part(self, references: Sequence[Reference]) -> Part:
        """The image with its attestations, for an output that calls it so."""
        assert self._made.image is not None
        names = [image_purl(each, self._made.platform) for each in references] or [_NAMELESS]

        def attest(manifest: str) -> list[Attestation]:
            subjects = [Subject(name, manifest) for name in names]
            return [Attestation(each.type, each.statement(subjects)) for each in self._predicates]

        return Part(self._made.image, attest)

    def files(self, root: int) -> dict[str, bytes]:
        """What is put beside the files of the tree below `root`, a descriptor, that it is about."""
        if not self._made.build.request.attest:
            return {}
        tree = Tree(root)
        subjects = [
            Subject(path, f"sha256:{digest}")
            for path in tree.files()
            if (digest := tree.sha256(path)) is not None
        ]
        return {each.file: each.statement(subjects) for each in self._predicates}
