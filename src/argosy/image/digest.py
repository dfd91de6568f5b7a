"""Digests: `sha256:` and 64 hexadecimal digits (image-spec, "Digests")."""

import hashlib
import re

from argosy.errors import InvalidParameter

_PATTERN = re.compile(r"sha256:[0-9a-f]{64}\Z")


def is_digest(text: str) -> bool:
    return _PATTERN.match(text) is not None


def checked(text: str) -> str:
    """`text`, if it is a digest: what goes into a path passes here. Raises InvalidParameter."""
    if not is_digest(text):
        raise InvalidParameter(f"invalid digest {text!r}")
    return text


def of_bytes(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def chain_id(diff_ids: list[str]) -> str | None:
    """The name of a stack of layers (image-spec, "Layer ChainID"); None for no layers."""
    chains = chain_ids(diff_ids)
    return chains[-1] if chains else None


def chain_ids(diff_ids: list[str]) -> list[str]:
    """The chain ID up to and including each layer."""
    chains: list[str] = []
    for diff_id in diff_ids:
        chains.append(of_bytes(f"{chains[-1]} {diff_id}".encode()) if chains else diff_id)
    return chains
