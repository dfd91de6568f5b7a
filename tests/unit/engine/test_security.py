import pytest

from argosy.engine.security import Security, security
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import HostConfig


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Security()),
        (["no-new-privileges"], Security(no_new_privileges=True)),
        (["no-new-privileges=1"], Security(no_new_privileges=True)),
        (["no-new-privileges:t"], Security(no_new_privileges=True)),
        (["no-new-privileges", "no-new-privileges=F"], Security()),
        (["writable-cgroups=true"], Security(writable_cgroups=True)),
        (["writable-cgroups:0"], Security(writable_cgroups=False)),
        (["seccomp:unconfined"], Security(seccomp="unconfined")),
        (['seccomp={"a":"b=c"}'], Security(seccomp='{"a":"b=c"}')),
        (["label=disable", "disable"], Security()),
        (["apparmor:x"], Security(apparmor="x")),
    ],
)
def test_options_are_read_as_docker_reads_them(options: list[str], expected: Security) -> None:
    assert security(HostConfig(security_opt=options)) == expected


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("label", 1),
        ("writable-cgroups", 1),
        ("", 1),
        ("foo=bar", 2),
        ("systempaths=unconfined", 2),
        ("no-new-privileges=", 2),
        ("no-new-privileges=yes", 2),
        ("writable-cgroups=x", 2),
    ],
)
def test_what_cannot_be_read_is_refused(option: str, kind: int) -> None:
    with pytest.raises(InvalidParameter) as raised:
        security(HostConfig(security_opt=[option]))
    assert raised.value.message == f'invalid --security-opt {kind}: "{option}"'
