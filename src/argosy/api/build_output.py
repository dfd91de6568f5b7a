"""What becomes of a build: names in the store, pushes, archives and trees for the client."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

from argosy.api.build_request import TREES, Output, Wanted
from argosy.build.builder import Build, Result
from argosy.build.solver import Outcome
from argosy.errors import InvalidParameter
from argosy.image import ImageRecord, Images, parse_reference
from argosy.image.reference import Reference
from argosy.image.tree_tar import TreeTar
from argosy.wire.stdstream import frame

_FIRST = 2
_LARGEST_FRAME = 1 << 20
_ARCHIVES = ("oci", "docker")
_SHOWN = {
    "image": "image",
    "oci": "oci image format",
    "docker": "docker image format",
    "local": "client directory",
    "tar": "client tarball",
}


class Delivery:
    """Output number n goes into frames of stream 2 + n, as a tar."""

    def __init__(self, images: Images, wanted: Wanted, write: Callable[[bytes], object]) -> None:
        """Raises InvalidParameter for a kind of output that there is not."""
        self._images = images
        self._wanted = wanted
        self._write = write
        self._pushed: dict[str, str] = {}
        for output in wanted.outputs:
            if output.type not in _SHOWN:
                raise InvalidParameter(
                    f"unknown output type {output.type!r}", hint=f"It is one of {', '.join(_SHOWN)}."
                )

    def deliver(self, build: Build, outcome: Outcome, image: ImageRecord | None) -> None:
        for number, output in enumerate(self._wanted.outputs):
            with build.progress.begin(f"exporting to {_SHOWN[output.type]}"):
                self._one(_FIRST + number, output, build, outcome, image)
        for number, cache in enumerate(self._wanted.caches, _FIRST + len(self._wanted.outputs)):
            whole = cache.mode == "max"
            if cache.reference:
                to = parse_reference(cache.reference).with_default_tag()
                build.export_cache(outcome, to, whole=whole)
            else:
                build.export_cache(outcome, functools.partial(self._send, number), whole=whole)
        if self._wanted.push:
            self._push(self._wanted.tags, build)

    def metadata(self, result: Result) -> dict[str, object]:
        """For `--metadata-file`, with the keys that buildx writes."""
        found: dict[str, object] = {"argosy.build.platform": result.platform}
        if result.image is not None:
            found["containerimage.config.digest"] = result.image.id
            found["containerimage.digest"] = next(iter(self._pushed.values()), result.image.id)
        names = [str(parse_reference(tag).with_default_tag()) for tag in self._wanted.tags]
        if names:
            found["image.name"] = ",".join(names)
        return found

    def _one(
        self,
        stream: int,
        output: Output,
        build: Build,
        outcome: Outcome,
        image: ImageRecord | None,
    ) -> None:
        if output.type in TREES:
            self._tree(stream, build, outcome)
            return
        assert image is not None
        if output.type in _ARCHIVES:
            names = [name for name in output.attributes.get("name", "").split(",") if name]
            names = names or self._wanted.tags
            references = [parse_reference(name).with_default_tag() for name in names]
            self._archive(stream, image, references)
        else:
            names = [name for name in output.attributes.get("name", "").split(",") if name]
            for name in names:
                reference = parse_reference(name).with_default_tag()
                self._images.tag(image.id, reference.familiar_name, reference.tag)
            if output.attributes.get("push") == "true":
                self._push(names or self._wanted.tags, build)

    def _archive(self, stream: int, image: ImageRecord, references: list[Reference]) -> None:
        self._images.save_image(image, references, lambda data: self._send(stream, data))

    def _tree(self, stream: int, build: Build, outcome: Outcome) -> None:
        tar = TreeTar(lambda data: self._send(stream, data))
        with build.view(outcome) as view:
            root = os.dup(view.descriptor)
            try:
                tar.contents(root, b"")
            finally:
                os.close(root)
        tar.finish()

    def _push(self, names: Sequence[str], build: Build) -> None:
        if not names:
            raise InvalidParameter("a push needs a name", hint="Give one: -t REGISTRY/NAME:TAG")
        for name in names:
            self._push_one(parse_reference(name).with_default_tag(), build)

    def _push_one(self, reference: Reference, build: Build) -> None:
        with build.progress.begin(f"pushing {reference}") as step:

            def report(message: dict[str, Any]) -> None:
                step.count_transfer(message)
                aux = message.get("aux")
                if isinstance(aux, dict) and "Digest" in aux:
                    self._pushed[str(reference)] = str(aux["Digest"])

            self._images.push(
                reference.familiar_name,
                tag=reference.tag,
                credentials=self._wanted.request.credentials_for(reference.domain),
                progress=report,
            )

    def _send(self, stream: int, data: bytes) -> None:
        for start in range(0, len(data), _LARGEST_FRAME):
            self._write(frame(stream, data[start : start + _LARGEST_FRAME]))
