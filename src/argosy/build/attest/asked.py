"""What is to be attested, in the words of buildx: `type=provenance,mode=max` and `type=sbom`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from argosy.errors import InvalidParameter, NotImplementedYet

PROVENANCE, SBOM = "provenance", "sbom"
_MODES, _VERSIONS = ("min", "max"), ("v0.2", "v1")
_YES, _NO = ("1", "t", "true"), ("0", "f", "false")
_DEFAULT = "inline-only"


@dataclass(frozen=True, slots=True)
class Asked:
    """`builder` is the URL that the provenance names the builder by."""

    provenance: bool = False
    is_full: bool = False
    version: str = "v0.2"
    builder: str = ""
    reproducible: bool = False
    sbom: bool = False

    def __bool__(self) -> bool:
        return self.provenance or self.sbom


def asked(attestations: Mapping[str, Mapping[str, str]]) -> Asked:
    """`attestations` has the attributes of each type that was given. Raises InvalidParameter."""
    for kind in attestations:
        if kind not in (PROVENANCE, SBOM):
            raise InvalidParameter(
                f"unsupported attestation type {kind!r}", hint=f"It is {PROVENANCE} or {SBOM}."
            )
    provenance, sbom = attestations.get(PROVENANCE), attestations.get(SBOM)
    wanted = Asked(sbom=sbom is not None and _sbom(sbom))
    if provenance is None or _true(provenance, "disabled") or _true(provenance, _DEFAULT):
        # A client that was not told otherwise asks for inline-only, which an engine's own images never are.
        return wanted
    mode, version = provenance.get("mode") or "min", provenance.get("version") or "v0.2"
    if mode not in _MODES:
        raise InvalidParameter(f"invalid mode {mode!r} for provenance attestation: it is min or max")
    if version not in _VERSIONS:
        raise InvalidParameter(f"unsupported provenance version {version!r}: it is v0.2 or v1")
    return Asked(
        provenance=True,
        is_full=mode == "max",
        version=version,
        builder=provenance.get("builder-id", ""),
        reproducible=_true(provenance, "reproducible"),
        sbom=wanted.sbom,
    )


def _sbom(attributes: Mapping[str, str]) -> bool:
    if _true(attributes, "disabled"):
        return False
    if attributes.get("generator"):
        raise NotImplementedYet(
            "an SBOM cannot be made by another generator than the engine's own",
            hint="Leave generator= away.",
        )
    return True


def _true(attributes: Mapping[str, str], name: str) -> bool:
    value = attributes.get(name, "false").lower()
    if value not in (*_YES, *_NO):
        raise InvalidParameter(f"invalid value {value!r} for {name}: it is true or false")
    return value in _YES
