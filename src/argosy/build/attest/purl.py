"""Package URLs (github.com/package-url/purl-spec): one name for a package, whatever manages it. Pure."""

from urllib.parse import quote

from argosy.image.reference import Reference


def purl(kind: str, name: str, version: str = "", *, namespace: str = "", **qualifiers: str) -> str:
    parts = [quote(part, safe=":") for part in namespace.split("/") if part]
    text = f"pkg:{kind}/{'/'.join([*parts, quote(name, safe='')])}"
    if version:
        text += f"@{quote(version, safe=':')}"
    given = [f"{key}={quote(value, safe=':')}" for key, value in sorted(qualifiers.items()) if value]
    return f"{text}?{'&'.join(given)}" if given else text


def image_purl(reference: Reference, platform: str) -> str:
    """As BuildKit names images in subjects and materials."""
    namespace, _, name = reference.familiar_name.rpartition("/")
    version = reference.tag or reference.digest
    digest = reference.digest if reference.tag else ""
    return purl("docker", name, version, namespace=namespace, digest=digest, platform=platform)
