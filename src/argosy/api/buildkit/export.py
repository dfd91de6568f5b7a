"""What becomes of a build's result: an image with its names, pushes, archives and trees for the client."""

from collections.abc import Mapping, Sequence
from typing import Any

from argosy.api.buildkit.connection import Call
from argosy.api.buildkit.sending import Sender
from argosy.api.buildkit.session import Session
from argosy.build.builder import Build
from argosy.build.progress import StepProgress
from argosy.build.release import Release, several_stay_nowhere
from argosy.build.several import Made
from argosy.errors import InvalidParameter, NotImplementedYet
from argosy.image import ImageRecord, Images, Reference, parse_reference
from argosy.image.tree_tar import TreeTar
from argosy.spec.buildkit import BytesMessage, Exporter
from argosy.wire import protobuf

_DIFF_COPY = "/moby.filesync.v1.FileSend/DiffCopy"
_EXPORTER = "buildkit-attachable-exporter-id"
_IMAGES, _ARCHIVES, _TREES = ("image", "moby"), ("docker", "oci"), ("local", "tar")
_CHUNK = 32 << 10
_TITLES = {
    "docker": "exporting to docker image format",
    "oci": "exporting to oci image format",
    "local": "exporting to client directory",
    "tar": "exporting to client tarball",
}
# What has no bearing on an image that is stored here, or is so anyway.
_HARMLESS = (
    "name", "push", "push-by-digest", "dest", "tar", "unpack", "store", "oci-mediatypes", "context", "load",
    "registry.insecure", "dangling-name-prefix", "name-canonical", "platform-split", "prefer-image-digest",
)  # fmt: skip


def wants_image(exporters: Sequence[Exporter]) -> bool:
    return any(exporter.type not in _TREES for exporter in exporters)


def keeps_image(exporters: Sequence[Exporter]) -> bool:
    return any(exporter.type in _IMAGES for exporter in exporters)


class Export:
    """`response` is what Control.Solve answers, with the keys that buildx writes to its metadata file."""

    def __init__(self, images: Images, session: Session, exporters: Sequence[Exporter]) -> None:
        """Raises InvalidParameter, NotImplementedYet."""
        self._images = images
        self._session = session
        self._exporters = exporters
        self.response: dict[str, str] = {}
        for exporter in exporters:
            _check(exporter)

    def unknown(self) -> list[str]:
        return sorted({name for each in self._exporters for name in each.attributes if name not in _HARMLESS})

    def check(self, platforms: int) -> None:
        """Whether there is an exporter that cannot take so many. Raises InvalidParameter."""
        for each in self._exporters:
            stays = each.type == "docker" or (each.type in _IMAGES and not _true(each.attributes, "push"))
            if platforms > 1 and stays:
                raise several_stay_nowhere()

    def deliver(self, made: Sequence[Made]) -> None:
        release = Release(self._images, made)
        build = made[0].build
        for number, exporter in enumerate(self._exporters):
            if exporter.type in _IMAGES:
                self._image(build, exporter.attributes, release)
                continue
            with build.progress.begin(_TITLES[exporter.type]) as step:
                if exporter.type in _TREES:
                    self._tree(number, exporter, release, step)
                else:
                    self._archive(number, exporter, release, step)

    # An image here

    def _image(self, build: Build, attributes: Mapping[str, str], release: Release) -> None:
        references = _references(attributes)
        pushes = _true(attributes, "push")
        if not release.is_several:
            self._stay(build, references, release.image)
            if not pushes:
                release.warn_of_loss()
        self._name(references)
        for reference in references if pushes else ():
            self._push(build, reference, release)

    def _stay(self, build: Build, references: Sequence[Reference], image: ImageRecord) -> None:
        self._identify(image.id, image.id)
        with build.progress.begin("exporting to image") as step:
            _done(step, "exporting layers")
            _done(step, f"writing image {image.id}")
            for reference in references:
                self._images.tag(image.id, reference.familiar_name, reference.tag or "latest")
                _done(step, f"naming to {reference}")

    def _identify(self, digest: str, configuration: str) -> None:
        self.response["containerimage.digest"] = digest
        if configuration:
            self.response["containerimage.config.digest"] = configuration

    def _push(self, build: Build, reference: Reference, release: Release) -> None:
        reference = reference.with_default_tag()
        with build.progress.begin(f"pushing {reference}") as step:

            def report(message: dict[str, Any]) -> None:
                step.count_transfer(message)
                pushed = message.get("aux")
                if isinstance(pushed, dict) and pushed.get("Digest"):
                    self.response["containerimage.digest"] = str(pushed["Digest"])

            release.push(reference, self._session.credentials(reference.domain), report)

    def _name(self, references: Sequence[Reference]) -> None:
        if references:
            self.response["image.name"] = ",".join(str(reference) for reference in references)

    # Something for the client

    def _archive(self, number: int, exporter: Exporter, release: Release, step: StepProgress) -> None:
        references = _references(exporter.attributes)
        self._name(references)
        target = _Target(self._call(number), step)
        named = [each.with_default_tag() for each in references]
        digest = release.save(named, target.write, layout=exporter.type == "oci")
        target.close()
        self._identify(digest, "" if release.is_several else release.image.id)

    def _tree(self, number: int, exporter: Exporter, release: Release, step: StepProgress) -> None:
        with release.trees() as trees:
            if exporter.type == "local":
                Sender(self._call(number), trees).run()
                return
            target = _Target(self._call(number), step)
            tar = TreeTar(target.write)
            for each in trees:
                each.write(tar)
            tar.finish()
            target.close()

    def _call(self, number: int) -> Call:
        return self._session.call(_DIFF_COPY, {_EXPORTER: [str(number)]})


class _Target:
    """A file of the client's."""

    def __init__(self, call: Call, step: StepProgress) -> None:
        self._call = call
        self._step = step
        self._size = 0

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK):
            self._call.send(protobuf.encode(BytesMessage(data[start : start + _CHUNK])))
        before, self._size = self._size, self._size + len(data)
        if before >> 20 != self._size >> 20:
            self._step.count("sending tarball", self._size)

    def close(self) -> None:
        """Waits until the client has it all."""
        self._call.end()
        for _ in self._call:
            pass
        self._step.count("sending tarball", self._size, done=True)


def _check(exporter: Exporter) -> None:
    if exporter.type not in (*_IMAGES, *_ARCHIVES, *_TREES):
        raise InvalidParameter(
            f"exporter {exporter.type!r} could not be found",
            hint=f"There are: {', '.join((*_IMAGES, *_ARCHIVES, *_TREES))}.",
        )
    if exporter.attributes.get("tar", "true").lower() in ("0", "f", "false"):
        raise NotImplementedYet(
            f"exporter {exporter.type} writes a tar only", hint="Leave tar=false away, and unpack it."
        )
    if _true(exporter.attributes, "push-by-digest"):
        raise NotImplementedYet("push-by-digest is not supported", hint="Push with a tag.")
    for name in _references(exporter.attributes):
        if name.digest:
            raise InvalidParameter(f"invalid tag {name}: a digest cannot be given to an image")
    if _true(exporter.attributes, "push") and not exporter.attributes.get("name"):
        raise InvalidParameter("tag is needed when pushing to registry")


def _references(attributes: Mapping[str, str]) -> list[Reference]:
    """As they were given, maybe without a tag."""
    names = [name for name in attributes.get("name", "").split(",") if name]
    return [parse_reference(name) for name in names]


def _true(attributes: Mapping[str, str], name: str) -> bool:
    return attributes.get(name, "").lower() in ("1", "t", "true")


def _done(step: StepProgress, what: str) -> None:
    step.count(what, 0, done=True)
