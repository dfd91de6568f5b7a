"""Names of images: `[domain/]path[:tag][@digest]`, normalised and made familiar as Docker does.

`nginx` is short for docker.io/library/nginx; the first component is a domain only if it looks like one
(a dot, a colon, `localhost`, or an upper-case letter). The grammar and the texts of the errors are
those of github.com/distribution/reference.
"""

import re
from dataclasses import dataclass, replace

from argosy.errors import InvalidParameter

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_MAXIMUM_NAME = 255

_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?\Z"
)
_TAG_ONLY = re.compile(rf"{_TAG}\Z")
_IDENTIFIER = re.compile(r"[a-f0-9]{64}\Z")
_SHA256 = re.compile(r"sha256:[a-f0-9]{64}\Z")


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised name. An empty tag or digest is an absent one."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository: `docker.io/library/nginx`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: `nginx`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        return self.familiar_name + self._suffix

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix

    def with_tag(self, tag: str) -> "Reference":
        """Raises InvalidParameter."""
        if not _TAG_ONLY.match(tag):
            raise InvalidParameter("invalid tag format")
        return replace(self, tag=tag)

    def with_digest(self, digest: str) -> "Reference":
        return replace(self, digest=digest)

    def with_default_tag(self) -> "Reference":
        """`latest`, if there is neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def without_tag(self) -> "Reference":
        return replace(self, tag="")

    def repository(self) -> "Reference":
        return Reference(self.domain, self.path)


def parse_reference(text: str) -> Reference:
    """A name as people write it. Raises InvalidParameter with Docker's text."""
    if _IDENTIFIER.match(text):
        raise InvalidParameter(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, remainder = _split_domain(text)
    path = remainder.partition(":")[0]
    if path.lower() != path:
        raise InvalidParameter(f"invalid reference format: repository name ({path}) must be lowercase")
    match = _REFERENCE.match(f"{domain}/{remainder}")
    if match is None:
        raise InvalidParameter("invalid reference format")
    reference = Reference(match["domain"], match["path"], match["tag"] or "", match["digest"] or "")
    if len(reference.path) > _MAXIMUM_NAME:
        raise InvalidParameter(f"repository name must not be more than {_MAXIMUM_NAME} characters")
    if reference.digest and not _SHA256.match(reference.digest):
        raise InvalidParameter(
            "invalid checksum digest length" if _is_sha256(reference) else "unsupported digest algorithm"
        )
    return reference


def as_image_id(text: str) -> str:
    """`sha256:<64 digits>` if `text` is a whole image ID, with or without the algorithm, else empty."""
    if _SHA256.match(text):
        return text
    return f"sha256:{text}" if _IDENTIFIER.match(text) else ""


def _is_sha256(reference: Reference) -> bool:
    return reference.digest.startswith("sha256:")


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, _OFFICIAL + text
    looks_like_domain = first == "localhost" or "." in first or ":" in first or first.lower() != first
    domain, remainder = (first, rest) if looks_like_domain else (DEFAULT_DOMAIN, text)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder
