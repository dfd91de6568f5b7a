import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.linux import mount
from argosy.linux.mount import parse_options


def test_options_become_flags_and_the_rest_is_data() -> None:
    flags, propagation, data = parse_options(["nosuid", "noexec", "mode=755", "size=65536k"])
    assert flags == mount.MS_NOSUID | mount.MS_NOEXEC
    assert propagation == 0
    assert data == "mode=755,size=65536k"


def test_the_last_of_two_that_contradict_each_other_wins() -> None:
    assert parse_options(["ro", "rw"])[0] == 0
    assert parse_options(["rw", "ro"])[0] == mount.MS_RDONLY
    assert parse_options(["noexec", "nosuid", "exec"])[0] == mount.MS_NOSUID


@pytest.mark.parametrize(
    ("option", "flags"),
    [
        ("private", mount.MS_PRIVATE),
        ("rprivate", mount.MS_PRIVATE | mount.MS_REC),
        ("rslave", mount.MS_SLAVE | mount.MS_REC),
        ("rshared", mount.MS_SHARED | mount.MS_REC),
        ("unbindable", mount.MS_UNBINDABLE),
    ],
)
def test_propagation_is_kept_apart_since_it_takes_a_call_of_its_own(option: str, flags: int) -> None:
    assert parse_options(["bind", option]) == (mount.MS_BIND, flags, "")


def test_a_recursive_bind_is_a_bind() -> None:
    assert parse_options(["rbind"])[0] == mount.MS_BIND | mount.MS_REC


def test_defaults_change_nothing() -> None:
    assert parse_options(["defaults"]) == parse_options([]) == (0, 0, "")


@given(st.lists(st.text(alphabet="xyz=0123456789", min_size=1)))
def test_what_is_no_flag_is_passed_on_in_order(words: list[str]) -> None:
    assert parse_options(tuple(words)) == (0, 0, ",".join(words))
