import pytest

from argosy.errors import InvalidParameter
from argosy.image.platforms import choose, format_platform, parse_platform
from argosy.spec.oci_image import Descriptor, Platform


def offer(*texts: str) -> list[Descriptor]:
    offered = []
    for text in texts:
        parts = [*text.split("/"), ""]
        platform = Platform(os=parts[0], architecture=parts[1], variant=parts[2]) if "/" in text else None
        offered.append(Descriptor(digest=text, platform=platform))
    return offered


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64/v8", "linux/amd64"], "linux/amd64"),
        ("linux/arm64", ["linux/amd64", "linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/arm64/v8", ["linux/arm64"], "linux/arm64"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/amd64", ["unknown/unknown", "windows/amd64"], None),
        ("linux/amd64", ["none"], "none"),
        ("linux/amd64", [], None),
    ],
)
def test_the_best_platform_is_chosen(wanted: str, offered: list[str], chosen: str | None) -> None:
    found = choose(offer(*offered), parse_platform(wanted))
    assert (found.digest if found else None) == chosen


def test_platforms_are_normalised() -> None:
    assert format_platform(parse_platform("Linux/x86_64")) == "linux/amd64"
    assert format_platform(parse_platform("linux/aarch64")) == "linux/arm64"
    assert format_platform(parse_platform("linux/armhf")) == "linux/arm/v7"
    for text in ("", "a/b/c/d", "linux//x", "linux/a b"):
        with pytest.raises(InvalidParameter):
            parse_platform(text)
