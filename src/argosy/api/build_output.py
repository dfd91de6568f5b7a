"""What becomes of a build: names in the store, pushes, archives and trees for the client."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from argosy.api.build_request import TREES, Output, Wanted
from argosy.build.builder import Build, Result
from argosy.build.release import Release
from argosy.build.several import Made
from argosy.errors import InvalidParameter
from argosy.image import Images, parse_reference
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
        self._saved = ""
        for output in wanted.outputs:
            if output.type not in _SHOWN:
                raise InvalidParameter(
                    f"unknown output type {output.type!r}", hint=f"It is one of {', '.join(_SHOWN)}."
                )

    def deliver(self, made: Sequence[Made]) -> None:
        release = Release(self._images, made)
        build, outcome = made[0].build, made[0].outcome
        if not self._wanted.outputs and not self._wanted.push:
            release.warn_of_loss()
        for number, output in enumerate(self._wanted.outputs):
            with build.progress.begin(f"exporting to {_SHOWN[output.type]}"):
                self._one(_FIRST + number, output, build, release)
        for number, cache in enumerate(self._wanted.caches, _FIRST + len(self._wanted.outputs)):
            whole = cache.mode == "max"
            if cache.reference:
                to = parse_reference(cache.reference).with_default_tag()
                build.export_cache(outcome, to, whole=whole)
            else:
                build.export_cache(outcome, functools.partial(self._send, number), whole=whole)
        if self._wanted.push:
            self._push(self._wanted.tags, build, release)

    def metadata(self, results: Sequence[Result]) -> dict[str, object]:
        """For `--metadata-file`, with the keys that buildx writes."""
        result = results[0]
        platforms = ",".join(each.platform for each in results)
        found: dict[str, object] = {"argosy.build.platform": platforms}
        if len(results) > 1:
            found["containerimage.digest"] = next(iter(self._pushed.values()), self._saved)
        elif result.image is not None:
            found["containerimage.config.digest"] = result.image.id
            found["containerimage.digest"] = next(iter(self._pushed.values()), self._saved or result.image.id)
        names = [str(parse_reference(tag).with_default_tag()) for tag in self._wanted.tags]
        if names:
            found["image.name"] = ",".join(names)
        return found

    def _one(self, stream: int, output: Output, build: Build, release: Release) -> None:
        if output.type in TREES:
            self._tree(stream, release)
            return
        if output.type in _ARCHIVES:
            names = [name for name in output.attributes.get("name", "").split(",") if name]
            names = names or self._wanted.tags
            references = [parse_reference(name).with_default_tag() for name in names]
            send = functools.partial(self._send, stream)
            self._saved = release.save(references, send, layout=output.type == "oci")
            return
        names = [name for name in output.attributes.get("name", "").split(",") if name]
        pushes = output.attributes.get("push") == "true"
        if not release.is_several:
            for name in names:
                reference = parse_reference(name).with_default_tag()
                self._images.tag(release.image.id, reference.familiar_name, reference.tag)
        if pushes:
            self._push(names or self._wanted.tags, build, release)
        elif not self._wanted.push:
            release.warn_of_loss()

    def _tree(self, stream: int, release: Release) -> None:
        tar = TreeTar(functools.partial(self._send, stream))
        with release.trees() as trees:
            for each in trees:
                each.write(tar)
        tar.finish()

    def _push(self, names: Sequence[str], build: Build, release: Release) -> None:
        if not names:
            raise InvalidParameter("a push needs a name", hint="Give one: -t REGISTRY/NAME:TAG")
        for name in names:
            self._push_one(parse_reference(name).with_default_tag(), build, release)

    def _push_one(self, reference: Reference, build: Build, release: Release) -> None:
        with build.progress.begin(f"pushing {reference}") as step:

            def report(message: dict[str, Any]) -> None:
                step.count_transfer(message)
                aux = message.get("aux")
                if isinstance(aux, dict) and "Digest" in aux:
                    self._pushed[str(reference)] = str(aux["Digest"])

            release.push(reference, self._wanted.request.credentials_for(reference.domain), report)

    def _send(self, stream: int, data: bytes) -> None:
        for start in range(0, len(data), _LARGEST_FRAME):
            self._write(frame(stream, data[start : start + _LARGEST_FRAME]))
