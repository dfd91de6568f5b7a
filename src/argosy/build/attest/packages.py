"""What package managers have installed in a root: dpkg, apk, rpm, pip, npm. Their files may be anybody's."""

import io
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import msgspec

from argosy.build.attest.purl import purl
from argosy.build.attest.rpm import RpmPackage, installed
from argosy.build.attest.tree import Tree
from argosy.errors import InvalidParameter

_HEAD = 256 << 10
_LARGEST_MANIFEST = 1 << 20
_LONGEST_FIELD = 512
_MOST = 100_000
_DPKG, _DPKG_PARTS = "var/lib/dpkg/status", "var/lib/dpkg/status.d"
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_RPM = ("var/lib/rpm", "usr/lib/sysimage/rpm")
_RPM_SQLITE = "rpmdb.sqlite"
_RPM_OLDER = ("Packages", "Packages.db")
_LARGEST_DATABASE = 256 << 20
_PYTHON = re.compile(r"(?:\.dist-info/METADATA|\.egg-info/PKG-INFO|\.egg-info)\Z")
_NODE = re.compile(r"(?:\A|/)node_modules/(?:@[^/]+/)?[^/]+/package\.json\Z")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """`found_in` is the file that says so. `licence` is what that calls it, which may be anything."""

    purl: str
    name: str
    version: str
    found_in: str
    licence: str = ""


class _Manifest(msgspec.Struct):
    name: object = ""
    version: object = ""
    license: object = ""


def packages(tree: Tree) -> list[Package]:
    """In order, each once."""
    found: set[Package] = set()
    distribution = _distribution(tree)
    managed = (read(tree, distribution) for read in (_dpkg, _apk, _rpm))
    for package in chain(*managed, _by_file(tree)):
        if len(found) == _MOST:
            break
        found.add(package)
    return sorted(found)


def unread(tree: Tree) -> str:
    """The database of a package manager that is not understood, or ""."""
    for directory in _RPM:
        path = f"{directory}/{_RPM_SQLITE}"
        if tree.has(path):
            return "" if _rpm_database(tree, path) is not None else path
        for name in _RPM_OLDER:
            if tree.has(f"{directory}/{name}"):
                return f"{directory}/{name}"
    return ""


def _distribution(tree: Tree) -> dict[str, str]:
    """os-release(5)."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        data = tree.read(path, _HEAD)
        if data is not None:
            lines = (line.partition("=") for line in data.decode(errors="replace").splitlines())
            return {name: value.strip("\"'")[:_LONGEST_FIELD] for name, _, value in lines}
    return {}


def _dpkg(tree: Tree, distribution: dict[str, str]) -> Iterator[Package]:
    """Distroless images have a file for each package, and no Status in it."""
    paths = [_DPKG, *(f"{_DPKG_PARTS}/{name}" for name in tree.names(_DPKG_PARTS)[:_MOST])]
    namespace = distribution.get("ID", "debian")
    for path in paths:
        for stanza in _stanzas(tree.read(path), ": ", ("Package", "Version", "Architecture", "Status")):
            if stanza.get("Status", "installed").endswith("installed") and "Package" in stanza:
                name, version = stanza["Package"], stanza.get("Version", "")
                url = purl(
                    "deb", name, version, namespace=namespace,
                    arch=stanza.get("Architecture", ""), distro=_release(distribution),
                )  # fmt: skip
                yield Package(url, name, version, path)


def _apk(tree: Tree, distribution: dict[str, str]) -> Iterator[Package]:
    namespace = distribution.get("ID", "alpine")
    for path in _APK:
        for stanza in _stanzas(tree.read(path), ":", ("P", "V", "A", "L")):
            if "P" in stanza:
                name, version = stanza["P"], stanza.get("V", "")
                url = purl(
                    "apk", name, version, namespace=namespace,
                    arch=stanza.get("A", ""), distro=_release(distribution),
                )  # fmt: skip
                yield Package(url, name, version, path, stanza.get("L", ""))


def _rpm(tree: Tree, distribution: dict[str, str]) -> Iterator[Package]:
    namespace = distribution.get("ID", "redhat")
    for directory in _RPM:
        path = f"{directory}/{_RPM_SQLITE}"
        for each in _rpm_database(tree, path) or ():
            url = purl(
                "rpm", each.name, each.version, namespace=namespace,
                arch=each.architecture, epoch=each.epoch, distro=_release(distribution),
            )  # fmt: skip
            yield Package(url, each.name, each.version, path, each.licence)


def _rpm_database(tree: Tree, path: str) -> list[RpmPackage] | None:
    """None if it cannot be read."""
    data = tree.read(path, _LARGEST_DATABASE + 1)
    if data is None or len(data) > _LARGEST_DATABASE:
        return None
    try:
        return list(islice(installed(data), _MOST))
    except InvalidParameter:
        return None


def _release(distribution: dict[str, str]) -> str:
    name, version = distribution.get("ID", ""), distribution.get("VERSION_ID", "")
    return f"{name}-{version}" if name and version else name


def _by_file(tree: Tree) -> Iterator[Package]:
    for path in tree.files():
        read: Callable[[Tree, str], Package | None] | None = None
        if _NODE.search(path):
            read = _node
        elif _PYTHON.search(path):
            read = _python
        package = read(tree, path) if read is not None else None
        if package is not None:
            yield package


def _python(tree: Tree, path: str) -> Package | None:
    """Core metadata: the headers of an e-mail, and a text after them."""
    head = (tree.read(path, _HEAD) or b"").partition(b"\n\n")[0]
    fields = next(_stanzas(head, ": ", ("Name", "Version", "License", "License-Expression")), {})
    name, version = fields.get("Name", ""), fields.get("Version", "")
    if not name:
        return None
    licence = fields.get("License-Expression") or fields.get("License", "")
    normal = re.sub(r"[-_.]+", "-", name).lower()
    return Package(purl("pypi", normal, version), name, version, path, licence)


def _node(tree: Tree, path: str) -> Package | None:
    try:
        manifest = msgspec.json.decode(tree.read(path, _LARGEST_MANIFEST) or b"", type=_Manifest)
    except (msgspec.DecodeError, RecursionError):
        return None
    name, version, licence = _text(manifest.name), _text(manifest.version), _text(manifest.license)
    if not name or not version:
        return None
    namespace, last = posixpath.split(name)
    return Package(purl("npm", last, version, namespace=namespace), name, version, path, licence)


def _text(value: object) -> str:
    return value[:_LONGEST_FIELD] if isinstance(value, str) else ""


def _stanzas(data: bytes | None, colon: str, wanted: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Paragraphs of fields, a line each; lines that go on with a field are of those that nobody wants."""
    stanza: dict[str, str] = {}
    for line in io.BytesIO(data or b""):
        start = line[:_LONGEST_FIELD].decode(errors="replace").strip()
        if not start:
            if stanza:
                yield stanza
            stanza = {}
            continue
        name, found, value = start.partition(colon)
        if found and name in wanted:
            stanza.setdefault(name, value.strip())
    if stanza:
        yield stanza
