import pytest

from argosy.build.complain import DockerfileError
from argosy.build.git import Repository, is_git, parse_git

URL = "https://host/x.git"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (URL, Repository(URL)),
        (f"{URL}#v1:sub/dir", Repository(URL, "v1", "sub/dir")),
        (f"{URL}#:sub", Repository(URL, "", "sub")),
        (f"{URL}?ref=v1&subdir=sub", Repository(URL, "v1", "sub")),
        (f"{URL}?branch=b#:sub", Repository(URL, "refs/heads/b", "sub")),
        (f"{URL}?tag=t&commit=1234567", Repository(URL, "refs/tags/t", "", "1234567")),
        (f"{URL}?keep-git-dir=1&submodules=0", Repository(URL, keep_git=True, submodules=False)),
        (f"{URL}?ref=v1#v1", Repository(URL, "v1")),
    ],
)
def test_fragment_and_query_say_what_is_meant(text: str, expected: Repository) -> None:
    assert is_git(text)
    assert parse_git(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{URL}?other=1", "unexpected query 'other'"),
        (f"{URL}?ref=a#b", "ref conflicts: 'b' vs 'a'"),
        (f"{URL}?submodules=perhaps", "true or false"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(DockerfileError, match=reason):
        parse_git(text)


def test_a_file_by_http_is_no_repository() -> None:
    assert not is_git("https://host/x.tar.gz")
