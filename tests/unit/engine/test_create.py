import os
from typing import Any

import pytest
from msgspec import UNSET

from argosy.engine import asked, log_options, oci
from argosy.engine.create import merge, normalise
from argosy.errors import InvalidParameter
from argosy.spec import oci_image
from argosy.spec.docker_container import (
    ContainerConfig,
    Healthcheck,
    HostConfig,
    LogConfig,
    RestartPolicy,
    Ulimit,
)

from .samples import image

ID = "0123456789ab" + "c" * 52


def merged(config: dict[str, Any], **given: Any) -> ContainerConfig:
    return merge(ContainerConfig(**config), image(**given), ID)


@pytest.mark.parametrize(
    ("config", "entrypoint", "cmd"),
    [
        ({}, ["e"], ["c"]),
        ({"cmd": ["x"]}, ["e"], ["x"]),
        ({"entrypoint": ["y"]}, ["y"], None),
        ({"entrypoint": ["y"], "cmd": ["x"]}, ["y"], ["x"]),
        ({"entrypoint": [""]}, None, None),
        ({"entrypoint": [""], "cmd": ["x"]}, None, ["x"]),
        ({"entrypoint": []}, [], ["c"]),
        ({"entrypoint": [], "cmd": ["x"]}, [], ["x"]),
        ({"entrypoint": "y", "cmd": "x"}, ["y"], ["x"]),
        ({"cmd": []}, ["e"], ["c"]),
    ],
)
def test_entrypoint_and_command_are_taken_from_the_image_as_docker_takes_them(
    config: dict[str, Any], entrypoint: list[str] | None, cmd: list[str] | None
) -> None:
    found = merged(config, entrypoint=["e"], cmd=["c"])
    assert (found.entrypoint or None, found.cmd) == (entrypoint or None, cmd)


def test_what_the_user_left_open_comes_from_the_image() -> None:
    found = merged(
        {},
        user="sailor",
        working_dir="/w",
        stop_signal="SIGQUIT",
        volumes={"/v": {}},
        exposed_ports={"80/tcp": {}},
    )
    assert (found.user, found.working_dir, found.stop_signal) == ("sailor", "/w", "SIGQUIT")
    assert (found.volumes, found.exposed_ports) == ({"/v": {}}, {"80/tcp": {}})


def test_what_the_user_gave_stays() -> None:
    found = merged(
        {"user": "me", "working_dir": "/m", "stop_signal": "SIGINT", "exposed_ports": {"81/tcp": {}}},
        user="sailor",
        working_dir="/w",
        stop_signal="SIGQUIT",
        exposed_ports={"80/tcp": {}},
    )
    assert (found.user, found.working_dir, found.stop_signal) == ("me", "/m", "SIGINT")
    assert found.exposed_ports == {"80/tcp": {}, "81/tcp": {}}
    assert merged({}).exposed_ports is UNSET


def test_variables_and_labels_of_the_user_win() -> None:
    found = merged(
        {"env": ["A=user", "C"], "labels": {"l": "user"}},
        env=["A=image", "B=image", "C=image"],
        labels={"l": "image", "m": "image"},
    )
    assert found.env == ["A=user", "C", "B=image"]
    assert found.labels == {"l": "user", "m": "image"}


def test_the_hostname_is_the_short_identifier() -> None:
    assert merged({}).hostname == "0123456789ab"
    assert merged({"hostname": "h"}).hostname == "h"


CHECK = oci_image.Healthcheck(["CMD", "true"], interval=5, timeout=6, start_period=7, retries=8)


def test_the_images_health_check_is_taken_over_whole() -> None:
    assert merged({}, healthcheck=CHECK).healthcheck == Healthcheck(["CMD", "true"], 5, 6, 7, 0, 8)


def test_a_health_check_that_says_only_a_part_keeps_the_rest_of_the_images() -> None:
    found = merged({"healthcheck": Healthcheck(interval=50)}, healthcheck=CHECK).healthcheck
    assert found == Healthcheck(["CMD", "true"], 50, 6, 7, 0, 8)
    none = merged({"healthcheck": Healthcheck(["NONE"])}, healthcheck=CHECK).healthcheck
    assert isinstance(none, Healthcheck)
    assert none.test == ["NONE"]


def normal(**host: Any) -> HostConfig:
    made = HostConfig(**host)
    asked.check(ContainerConfig(), made, {})
    normalise(made, ContainerConfig())
    return made


def test_dockers_defaults_are_filled_in() -> None:
    host = normal()
    assert (host.network_mode, host.ipc_mode, host.cgroupns_mode) == ("bridge", "private", "private")
    assert (host.restart_policy.name, host.shm_size, host.console_size) == ("no", 64 << 20, [0, 0])
    assert host.masked_paths == list(oci.MASKED_PATHS)
    assert normal(network_mode="default").network_mode == "bridge"


def test_nothing_is_masked_for_the_privileged_or_on_request() -> None:
    assert normal(privileged=True).masked_paths is None
    assert normal(masked_paths=["/x"]).masked_paths == ["/x"]


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"memory": 5 << 20}, "Minimum memory limit allowed is 6MB"),
        ({"memory_swap": 1 << 30}, "You should always set the Memory limit"),
        ({"memory": 64 << 20, "memory_swap": 32 << 20}, "Minimum memoryswap limit should be larger"),
        ({"memory": 64 << 20, "memory_reservation": 65 << 20}, "can not be less than memory reservation"),
        ({"nano_cpus": 10**12}, "range of CPUs is from 0.01 to"),
        ({"nano_cpus": 10**8, "cpu_quota": 5}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"ulimits": [Ulimit("nofile", 1, 2)]}, "soft limit must be less than or equal to hard limit"),
        ({"ulimits": [Ulimit("fun", 1, 1)]}, "invalid ulimit type: fun"),
        ({"pid_mode": "x"}, "invalid PID mode: x"),
        ({"ipc_mode": "x"}, "invalid IPC mode: x"),
        ({"uts_mode": "x"}, "invalid UTS mode: x"),
        ({"extra_hosts": ["x"]}, 'bad format for add-host: "x"'),
        (
            {"auto_remove": True, "restart_policy": RestartPolicy("always")},
            "can't create 'AutoRemove' container",
        ),
        ({"log_config": LogConfig("syslog")}, 'plugin "syslog" not found'),
    ],
)
def test_what_cannot_work_is_refused_in_dockers_words(host: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        normal(**host)


def test_the_network_of_another_container_can_be_shared() -> None:
    assert normal(network_mode="container:web").network_mode == "container:web"


def test_all_the_cpus_of_the_host_may_be_asked_for() -> None:
    assert normal(nano_cpus=(os.cpu_count() or 1) * 10**9)


def test_a_published_port_is_exposed() -> None:
    config = ContainerConfig()
    normalise(HostConfig(port_bindings={"80/tcp": []}), config)
    assert config.exposed_ports == {"80/tcp": {}}


def test_ports_published_in_the_hosts_network_are_warned_of() -> None:
    host = HostConfig(network_mode="host", port_bindings={"80/tcp": []})
    assert normalise(host, ContainerConfig()) == [
        "Published ports are discarded when using host network mode"
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (20 << 20, 5)),
        ({"max-size": "10m", "max-file": "3"}, (10 << 20, 3)),
        ({"max-size": "-1"}, (0, 5)),
        ({"compress": "true", "labels": "a"}, (20 << 20, 5)),
    ],
)
def test_the_size_of_logs_is_chosen_by_log_options(
    options: dict[str, str], expected: tuple[int, int]
) -> None:
    assert log_options.sizes(LogConfig("json-file", options)) == expected


@pytest.mark.parametrize(
    "options", [{"max-size": "x"}, {"max-file": "x"}, {"max-file": "0"}, {"colour": "1"}]
)
def test_log_options_that_make_no_sense_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidParameter):
        log_options.sizes(LogConfig("json-file", options))
