import pytest

from argosy.build.complain import DockerfileError
from argosy.build.signals import check_signal


@pytest.mark.parametrize("text", ["SIGTERM", "kill", "9", "SIGRTMIN", "RTMIN+15", "SIGRTMAX-14", "SIGWINCH"])
def test_numbers_and_names_are_taken(text: str) -> None:
    check_signal(text)


@pytest.mark.parametrize("text", ["0", "SIGNOPE", "RTMIN+16", "RTMAX-15", "RTMIN-1", "9x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match="invalid signal: "):
        check_signal(text)


def test_a_slip_is_answered_with_what_was_meant() -> None:
    with pytest.raises(DockerfileError, match="SIGTERM"):
        check_signal("SIGTEM")
