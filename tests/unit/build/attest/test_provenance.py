from typing import Any

import msgspec
import pytest

from argosy.build.attest.asked import Asked
from argosy.build.attest.provenance import Facts, Material, provenance
from argosy.build.attest.purl import image_purl, purl
from argosy.build.attest.statement import Subject
from argosy.image import parse_reference

FACTS = Facts(
    invocation="i",
    dockerfile="Dockerfile",
    platform="linux/amd64",
    builder_platform="linux/amd64",
    arguments={"build-arg:A": "value", "target": "t", "vcs:revision": "r"},
    locals=["context"],
    secrets=["token"],
    materials=[Material("pkg:docker/busybox@latest", "sha256:00")],
    started=1_000_000_000,
    finished=2_000_000_000,
    steps=[{"id": "step0"}],
)


def document(version: str, *, full: bool) -> dict[str, Any]:
    made = provenance(Asked(provenance=True, is_full=full, version=version), FACTS)
    return msgspec.json.decode(made.statement([Subject("n", "sha256:11")]), type=dict[str, Any])


@pytest.mark.parametrize("version", ["v0.2", "v1"])
def test_arguments_and_steps_are_told_on_request_only(version: str) -> None:
    short, long = (repr(document(version, full=full)) for full in (False, True))
    for private in ("'value'", "token", "step0"):
        assert private not in short and private in long
    for public in ("pkg:docker/busybox@latest", "'target': 't'", "'revision': 'r'"):
        assert public in short and public in long


def test_it_says_what_it_is_about_and_that_it_is_not_all() -> None:
    found = document("v0.2", full=False)
    assert found["subject"] == [{"name": "n", "digest": {"sha256": "11"}}]
    assert found["predicateType"] == "https://slsa.dev/provenance/v0.2"
    metadata = found["predicate"]["metadata"]
    assert metadata["completeness"] == {"parameters": False, "environment": True, "materials": False}
    assert metadata["buildStartedOn"] == "1970-01-01T00:00:01Z"
    assert document("v0.2", full=True)["predicate"]["metadata"]["completeness"]["parameters"]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("busybox", "pkg:docker/busybox@latest?platform=linux%2Famd64"),
        ("a/b:1", "pkg:docker/a/b@1?platform=linux%2Famd64"),
        ("localhost:5000/x/y:v2", "pkg:docker/localhost:5000/x/y@v2?platform=linux%2Famd64"),
    ],
)
def test_images_are_called_as_buildkit_calls_them(name: str, url: str) -> None:
    assert image_purl(parse_reference(name).with_default_tag(), "linux/amd64") == url


def test_names_of_packages_are_escaped() -> None:
    assert purl("deb", "g++", "1:2~3", namespace="debian") == "pkg:deb/debian/g%2B%2B@1:2~3"
