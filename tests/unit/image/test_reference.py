import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidParameter
from argosy.image.reference import as_image_id, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "normalised", "familiar"),
    [
        ("nginx", "docker.io/library/nginx", "nginx"),
        ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("index.docker.io/nginx", "docker.io/library/nginx", "nginx"),
        ("docker.io/user/app:v1", "docker.io/user/app:v1", "user/app:v1"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:x@{DIGEST}", f"docker.io/library/app:x@{DIGEST}", f"app:x@{DIGEST}"),
    ],
)
def test_a_name_is_normalised_and_made_familiar(text: str, normalised: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.familiar) == (normalised, familiar)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("app:", "invalid reference format"),
        ("app:" + "x" * 129, "invalid reference format"),
        ("App", "invalid reference format: repository name (library/App) must be lowercase"),
        ("a" * 64, "cannot specify 64-byte hexadecimal strings"),
        ("x/" + "a" * 255, "repository name must not be more than 255 characters"),
        ("app@sha512:" + "a" * 128, "unsupported digest algorithm"),
        ("app@sha256:" + "a" * 40, "invalid checksum digest length"),
        ("../etc", "invalid reference format"),
    ],
)
def test_a_bad_name_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_reference(text)
    assert message in str(caught.value)


component = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)*", fullmatch=True).filter(lambda text: len(text) < 30)
tag = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,40}", fullmatch=True)


@given(st.lists(component, min_size=1, max_size=4), tag)
def test_what_is_written_is_read_back(path: list[str], tag: str) -> None:
    reference = parse_reference("registry.example:5000/" + "/".join(path) + ":" + tag)
    assert reference.tag == tag
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar) == reference


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_invalid(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidParameter:
        return
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar) == reference


def test_an_image_id_is_told_from_a_name() -> None:
    assert as_image_id("b" * 64) == "sha256:" + "b" * 64
    assert as_image_id(DIGEST) == DIGEST
    assert as_image_id("bbb") == ""
