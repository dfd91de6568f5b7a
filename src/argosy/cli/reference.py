"""Image names as users type them: what they stand for, and how they are shown."""

from __future__ import annotations

_HUB = "docker.io"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/")
_TAG = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_ID_LENGTH = 64
_LONGEST_TAG = 128


class Reference:
    """`domain/path[:tag][@digest]`, completed as Docker does."""

    def __init__(self, domain: str, path: str, tag: str, digest: str) -> None:
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest

    @property
    def repository(self) -> str:
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        if self.domain != _HUB:
            return self.repository
        return self.path.removeprefix("library/")

    @property
    def familiar(self) -> str:
        """`busybox:latest`, as messages show it."""
        return self.familiar_name + self._suffix(self.tag)

    @property
    def complete(self) -> str:
        """`docker.io/library/busybox:latest`."""
        return self.repository + self._suffix(self.tag)

    def _suffix(self, tag: str) -> str:
        return (f":{tag}" if tag else "") + (f"@{self.digest}" if self.digest else "")

    def tagged(self) -> Reference:
        """With `latest` where nothing says which."""
        if self.tag or self.digest:
            return self
        return Reference(self.domain, self.path, "latest", "")


def parse_name(text: str) -> Reference:
    """What cannot be an image's ID. Raises ValueError with Docker's text."""
    if len(text) == _ID_LENGTH and all(sign in "0123456789abcdef" for sign in text):
        raise ValueError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    return parse(text)


def parse(text: str) -> Reference:
    """Raises ValueError with Docker's text."""
    rest, _, digest = text.partition("@")
    if "@" in text and not _is_digest(digest):
        raise ValueError("invalid reference format")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        name, tag, colon = rest, "", ""
    if colon and (not tag or len(tag) > _LONGEST_TAG or not _TAG.issuperset(tag) or tag[0] in ".-"):
        raise ValueError("invalid reference format")
    domain, slash, path = name.partition("/")
    if not slash or not (set(".:") & set(domain) or domain == "localhost" or domain != domain.lower()):
        domain, path = _HUB, name
    if domain == f"index.{_HUB}":
        domain = _HUB
    if domain == _HUB and "/" not in path:
        path = f"library/{path}"
    if path != path.lower():
        raise ValueError(f"invalid reference format: repository name ({path}) must be lowercase")
    if not _is_path(path):
        raise ValueError("invalid reference format")
    return Reference(domain, path, tag, digest)


def _is_path(path: str) -> bool:
    return all(
        part and _NAME.issuperset(part) and part[0].isalnum() and part[-1].isalnum()
        for part in path.split("/")
    )


def _is_digest(text: str) -> bool:
    algorithm, colon, value = text.partition(":")
    return (
        bool(algorithm and colon) and len(value) >= 32 and all(sign in "0123456789abcdef" for sign in value)
    )
