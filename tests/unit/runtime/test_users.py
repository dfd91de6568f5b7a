"""Who a process runs as."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.runtime.users import Identity, UserError, read_lines, resolve

PASSWD = [
    line.split(":")
    for line in (
        "root:x:0:0:root:/root:/bin/sh",
        "sailor:x:1000:1001::/home/sailor:/bin/sh",
        "bare:x:7:8",
        "short:x",
        "2000:x:55:66::/odd:/bin/sh",
    )
]
GROUP = [
    line.split(":")
    for line in (
        "root:x:0:root",
        "sailors:x:1001:",
        "crew:x:2000:sailor,root",
        "deck:x:2001:sailor",
        "broken",
    )
]


def find(spec: str, *extra: str) -> Identity:
    return resolve(spec, PASSWD, GROUP, list(extra))


def test_nobody_named_means_root() -> None:
    assert find("") == Identity(0, 0, [0, 2000], "/root")


def test_a_name_brings_its_group_home_and_memberships() -> None:
    assert find("sailor") == Identity(1000, 1001, [1001, 2000, 2001], "/home/sailor")


def test_a_number_that_is_listed_is_that_user() -> None:
    assert find("1000") == find("sailor")


def test_a_number_that_is_not_listed_is_taken_at_its_word() -> None:
    assert find("4242") == Identity(4242, 0, [0], "/")


def test_a_name_made_of_digits_comes_before_the_number() -> None:
    assert find("2000").uid == 55


@pytest.mark.parametrize(
    ("spec", "gid"), [("sailor:crew", 2000), ("sailor:77", 77), ("1000:0", 0), (":crew", 2000)]
)
def test_a_group_that_is_given_replaces_all_memberships(spec: str, gid: int) -> None:
    identity = find(spec)
    assert (identity.gid, identity.groups) == (gid, [gid])


def test_an_entry_that_is_cut_short_has_the_rest_at_its_default() -> None:
    assert find("bare") == Identity(7, 8, [8], "/")


def test_an_entry_whose_number_is_none_counts_as_zero() -> None:
    assert resolve("odd", [["odd", "x", "²", "-1"]], [], []) == Identity(0, 0, [0], "/")


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(UserError, match="unable to find user ghost: no matching entries in passwd file"):
        find("ghost")


def test_an_unknown_group_is_named() -> None:
    with pytest.raises(UserError, match="unable to find group ghosts: no matching entries in group file"):
        find("root:ghosts")


def test_an_unknown_additional_group_is_named() -> None:
    with pytest.raises(UserError, match="unable to find group ghosts: no matching entries in group file"):
        find("root", "ghosts")


def test_additional_groups_are_added_by_name_or_number_and_once() -> None:
    assert find("4242", "crew", "99", "2000").groups == [0, 2000, 99]


@pytest.mark.parametrize("spec", ["2147483648", "0:2147483648", "99999999999999999999"])
def test_a_number_beyond_the_kernels_is_refused(spec: str) -> None:
    with pytest.raises(UserError, match="uids and gids must be in range 0-2147483647"):
        find(spec)


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_numbers_need_no_files(uid: int, gid: int) -> None:
    assert resolve(f"{uid}:{gid}", [], [], []) == Identity(uid, gid, [gid], "/")


FIELDS = st.lists(st.lists(st.sampled_from(["a", "1", "", "²", "x", "a,b", "-1"]), max_size=7), max_size=5)


@given(st.text(alphabet="ab1²:- "), FIELDS, FIELDS, st.lists(st.sampled_from(["a", "1", "²"]), max_size=2))
def test_whatever_the_files_hold_there_is_an_identity_or_a_reason(
    spec: str, passwd: list[list[str]], group: list[list[str]], extra: list[str]
) -> None:
    try:
        identity = resolve(spec, passwd, group, extra)
    except UserError as error:
        assert str(error)
        return
    assert identity.gid in identity.groups
    assert len(set(identity.groups)) <= len(identity.groups)
    assert identity.uid >= 0


def test_lines_are_split_and_comments_left_out(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(b"# people\n\nroot:x:0\nna\xffme:x:1\n")
    assert read_lines(os.fspath(path)) == [["root", "x", "0"], ["na\udcffme", "x", "1"]]


def test_what_is_no_file_is_empty_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert read_lines(os.fspath(pipe)) == []
    assert read_lines(os.fspath(tmp_path)) == []
    assert read_lines(os.fspath(tmp_path / "missing")) == []
