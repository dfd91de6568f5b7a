"""A bill of materials: the packages of a root file system as an SPDX document (spdx.github.io, 2.3)."""

import hashlib
import re
import uuid
from collections.abc import Sequence

import argosy
from argosy.build.attest.packages import Package, packages, unread
from argosy.build.attest.statement import Predicate
from argosy.build.attest.tree import Tree
from argosy.units import rfc3339

_PREDICATE = "https://spdx.dev/Document"
_IMAGE = "SPDXRef-Image"
_UNKNOWN = "NOASSERTION"
_NAME = re.compile(r"[^A-Za-z0-9.-]+")


def sbom(root: int, diff_ids: Sequence[str], platform: str, created: int) -> tuple[Predicate, str]:
    """Of a root directory, by its descriptor; `created` in Unix nanoseconds.

    Also says which package manager's database could not be read. The same layers give the same document.
    """
    tree = Tree(root)
    found = packages(tree)
    left_out = unread(tree)
    layers = hashlib.sha256("\n".join(diff_ids).encode()).hexdigest()
    listed = [_package(each, number) for number, each in enumerate(found)]
    image = {
        "name": "image",
        "SPDXID": _IMAGE,
        "versionInfo": f"sha256:{layers}",
        "primaryPackagePurpose": "CONTAINER",
        **_NOTHING_KNOWN,
    }
    document: dict[str, object] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"image-{_NAME.sub('-', platform)}",
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, layers)}",
        "creationInfo": {"creators": [f"Tool: argosy-{argosy.__version__}"], "created": _moment(created)},
        "packages": [image, *listed],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", _IMAGE),
            *(_relation(_IMAGE, "CONTAINS", str(each["SPDXID"])) for each in listed),
        ],
    }
    if left_out:
        document["comment"] = f"Packages that {left_out} names are not listed: that database is not read."
    return Predicate("sbom.spdx.json", _PREDICATE, document), left_out


_NOTHING_KNOWN = {
    "supplier": _UNKNOWN,
    "downloadLocation": _UNKNOWN,
    "filesAnalyzed": False,
    "licenseConcluded": _UNKNOWN,
    "licenseDeclared": _UNKNOWN,
    "copyrightText": _UNKNOWN,
}


def _package(package: Package, number: int) -> dict[str, object]:
    found: dict[str, object] = {
        "name": package.name,
        "SPDXID": f"SPDXRef-Package-{number}-{_NAME.sub('-', package.name)}",
        "versionInfo": package.version,
        "sourceInfo": f"found in /{package.found_in}",
        **_NOTHING_KNOWN,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package.purl,
            }
        ],
    }
    if package.licence:
        # It need not be an expression of SPDX's.
        found["licenseComments"] = f"declared as: {package.licence}"
    return found


def _relation(element: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": other}


def _moment(nanoseconds: int) -> str:
    """SPDX has whole seconds only."""
    return rfc3339(nanoseconds // 1_000_000_000 * 1_000_000_000)
