"""Names of images as the client reads them."""

import pytest

from argosy.cli.reference import parse, parse_name


def test_a_name_may_not_look_like_an_image_id() -> None:
    with pytest.raises(ValueError, match="cannot specify 64-byte hexadecimal strings"):
        parse_name("a" * 64)
    assert parse_name("a" * 63).familiar == "a" * 63
    assert parse("a" * 64).familiar == "a" * 64
