"""--attest, --provenance and --sbom: what is to be attested of the result."""

from __future__ import annotations

from argosy.cli.failure import Failure

_SWITCHES = {"true": "", "1": "", "false": "disabled=true", "0": "disabled=true"}


def attestations(attest: list[str], provenance: str, sbom: str) -> dict[str, dict[str, str]]:
    """The attributes of each type. Raises Failure."""
    found = dict(_one(text) for text in attest)
    for kind, text in (("provenance", provenance), ("sbom", sbom)):
        if text:
            found |= [_one(f"type={kind},{_SWITCHES.get(text, text)}".rstrip(","))]
    return found


def _one(text: str) -> tuple[str, dict[str, str]]:
    from argosy.cli.values import split_fields

    attributes = {}
    for field in split_fields(text):
        name, equals, value = field.partition("=")
        if not equals:
            raise Failure(f"invalid value {field!r} in {text}: it is no key=value")
        attributes[name] = value
    kind = attributes.pop("type", "")
    if kind not in ("provenance", "sbom"):
        raise Failure(f"--attest {text}: the type is provenance or sbom, as in type=provenance,mode=max")
    return kind, attributes
