"""in-toto statements: what is said of which subjects (github.com/in-toto/attestation, v0.1). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

_STATEMENT = "https://in-toto.io/Statement/v0.1"


@dataclass(frozen=True, slots=True)
class Subject:
    """`digest` as in `sha256:…`."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Predicate:
    """`file` is what it is called in a tree."""

    file: str
    type: str
    content: Mapping[str, object]

    def statement(self, subjects: Sequence[Subject]) -> bytes:
        document = {
            "_type": _STATEMENT,
            "predicateType": self.type,
            "subject": [{"name": each.name, "digest": digest_set(each.digest)} for each in subjects],
            "predicate": self.content,
        }
        return msgspec.json.format(msgspec.json.encode(document), indent=2)


def digest_set(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
