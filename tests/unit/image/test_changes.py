import pytest

from argosy.errors import InvalidParameter
from argosy.image.changes import apply_changes
from argosy.spec.oci_image import Healthcheck, ImageConfig


def change(*changes: str, **fields: object) -> ImageConfig:
    return apply_changes(ImageConfig(**fields), list(changes))  # type: ignore[arg-type]


def test_commands_have_two_forms() -> None:
    assert change("CMD echo hi").cmd == ["/bin/sh", "-c", "echo hi"]
    assert change('CMD ["echo", "hi"]').cmd == ["echo", "hi"]
    assert change("CMD []").cmd == []


def test_an_entry_point_takes_the_command_away_unless_it_was_given_too() -> None:
    assert change('ENTRYPOINT ["x"]', cmd=["old"]).cmd is None
    assert change('CMD ["new"]', 'ENTRYPOINT ["x"]', cmd=["old"]).cmd == ["new"]


def test_environment() -> None:
    config = change(
        "ENV A=1 B=\"x $OLD\" C='$OLD' D=${NONE:-d} E=${OLD:+set}", "ENV F all the rest", env=["OLD=o"]
    )
    assert config.env == ["OLD=o", "A=1", "B=x o", "C=$OLD", "D=d", "E=set", "F=all the rest"]


def test_the_rest() -> None:
    config = change(
        "EXPOSE 80 53/udp 90-91",
        "USER app",
        "WORKDIR /a",
        "WORKDIR b",
        'VOLUME ["/x y"]',
        "VOLUME /z",
        'LABEL a=b "c d"=e',
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN true",
        "HEALTHCHECK --interval=3s --retries=2 CMD true",
    )
    assert list(config.exposed_ports or {}) == ["80/tcp", "53/udp", "90/tcp", "91/tcp"]
    assert (config.user, config.working_dir, config.stop_signal) == ("app", "/a/b", "SIGINT")
    assert list(config.volumes or {}) == ["/x y", "/z"]
    assert config.labels == {"a": "b", "c d": "e"}
    assert config.on_build == ["RUN true"]
    assert config.healthcheck == Healthcheck(test=["CMD-SHELL", "true"], interval=3 * 10**9, retries=2)
    assert change("HEALTHCHECK NONE").healthcheck == Healthcheck(test=["NONE"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN true", "RUN is not a valid change command"),
        ("run true", "run is not a valid change command"),
        ('SHELL ["/bin/sh"]', "SHELL is not a valid change command"),
        ("", "file with no instructions"),
        ("# none", "file with no instructions"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", "Syntax error - can't find = in"),
        ("EXPOSE x", "Invalid containerPort: x"),
        ("EXPOSE 70000", "Invalid containerPort: 70000"),
        ('LABEL a="b', "looking for matching double-quote"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK sometimes", "Unknown type"),
    ],
)
def test_a_bad_change_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        change(text)
