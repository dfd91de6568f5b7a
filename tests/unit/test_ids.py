from hypothesis import given
from hypothesis import strategies as st

from argosy.ids import NAME, is_full, is_prefix, new_id, short


def test_a_new_identifier_is_full_and_unlike_the_last() -> None:
    made = {new_id() for _ in range(200)}
    assert len(made) == 200
    assert all(is_full(identifier) for identifier in made)


def test_a_short_identifier_can_serve_as_a_hostname() -> None:
    assert not any(short(new_id()).isdigit() for _ in range(200))


def test_the_short_form_is_twelve_digits_without_the_algorithm() -> None:
    assert short("sha256:" + "ab" * 32) == "ab" * 6
    assert short("ab" * 32) == "ab" * 6


@given(st.integers(min_value=1, max_value=64))
def test_every_beginning_of_an_identifier_is_a_prefix(length: int) -> None:
    assert is_prefix(("0123456789abcdef" * 4)[:length])


def test_what_is_not_hexadecimal_is_no_prefix() -> None:
    assert not any(is_prefix(text) for text in ("", "g", "AB", "ab\n", "a" * 65))
    assert not any(is_full(text) for text in ("a" * 63, "a" * 65, "A" * 64, "a" * 64 + "\n"))


def test_a_name_has_two_characters_and_begins_with_a_letter_or_digit() -> None:
    assert all(NAME.match(text) for text in ("ab", "web_1", "0-a.b"))
    assert not any(NAME.match(text) for text in ("", "a", "-a", "_a", ".a", "a/b", "a b", "ab\n"))
