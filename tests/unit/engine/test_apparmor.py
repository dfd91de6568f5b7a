"""Which AppArmor profile confines a container, by stand-ins for what the kernel shows."""

import logging
import os
from pathlib import Path

import pytest

from argosy.engine.apparmor import AppArmor
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import HostConfig


class Host:
    """`loaded` are the profiles; `parser` is what apparmor_parser does, a line of sh."""

    def __init__(
        self, directory: Path, enabled: str = "Y\n", loaded: str = "", parser: str = "exit 1"
    ) -> None:
        self.securityfs = directory / "apparmor"
        self.securityfs.mkdir()
        (self.securityfs / "profiles").write_text(loaded)
        module = directory / "enabled"
        module.write_text(enabled)
        program = directory / "parser"
        program.write_text(f"#!/bin/sh\n{parser}\n")
        program.chmod(0o755)
        self.apparmor = AppArmor(os.fspath(module), os.fspath(self.securityfs), os.fspath(program))
        self.apparmor.prepare()

    def profile(self, *options: str, privileged: bool = False) -> str:
        return self.apparmor.profile(HostConfig(security_opt=list(options), privileged=privileged))


DOCKERS = "docker-default (enforce)\n/usr/bin/man (enforce)\nmine (complain)\n"


def test_containers_are_confined_by_default_and_privileged_ones_are_not(tmp_path: Path) -> None:
    host = Host(tmp_path, loaded=DOCKERS)
    assert host.profile() == "docker-default"
    assert host.profile(privileged=True) == "unconfined"
    assert host.profile("apparmor=unconfined") == "unconfined"
    assert host.profile("apparmor:mine") == host.profile("apparmor=mine", privileged=True) == "mine"
    assert host.profile("apparmor=/usr/bin/man") == "/usr/bin/man"


def test_the_default_profile_is_loaded_where_nobody_has(tmp_path: Path) -> None:
    profiles = tmp_path / "apparmor/profiles"
    host = Host(tmp_path, parser=f"cat >{tmp_path}/policy && echo 'docker-default (enforce)' >{profiles}")
    assert host.profile() == "docker-default"
    policy = (tmp_path / "policy").read_text()
    assert "profile docker-default " in policy and "deny mount," in policy


def test_one_that_somebody_has_loaded_is_left_as_it_is(tmp_path: Path) -> None:
    Host(tmp_path, loaded=DOCKERS, parser=f"touch {tmp_path}/called")
    assert not (tmp_path / "called").exists()


def test_without_a_parser_containers_run_and_the_log_says_what_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "argosy"):
        host = Host(tmp_path)
    assert host.profile() == ""
    assert "apt install apparmor" in caplog.text
    with pytest.raises(InvalidParameter, match="docker-default is not loaded"):
        host.profile("apparmor=docker-default")


def test_a_profile_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="unable to apply apparmor profile: other is not loaded"):
        Host(tmp_path, loaded=DOCKERS).profile("apparmor=other")


@pytest.mark.parametrize("enabled", ["N\n", ""])
def test_where_the_kernel_has_none_nothing_but_no_profile_can_be_asked_for(
    tmp_path: Path, enabled: str
) -> None:
    host = Host(tmp_path, enabled=enabled, loaded=DOCKERS)
    assert host.profile() == host.profile("apparmor=unconfined") == host.profile(privileged=True) == ""
    with pytest.raises(InvalidParameter, match="AppArmor is not on in this host's kernel"):
        host.profile("apparmor=mine")
