from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.engine import oci
from argosy.errors import InvalidParameter
from argosy.linux import caps, cgroup
from argosy.spec.docker_container import ContainerConfig, DeviceMapping, HostConfig, MountPoint, Ulimit
from argosy.spec.oci_image import DEFAULT_PATH
from argosy.spec.oci_runtime import Config

from .samples import spec

NAMES = st.lists(st.sampled_from(["CHOWN", "cap_sys_admin", "NET_RAW", "BPF", "mknod"]), max_size=4)


def config(joined: dict[str, str] | None = None, init: str = "", **changes: Any) -> Config:
    return oci.config(
        spec(**changes),
        directory="/d",
        rootfs="/r",
        rootfs_mounts=[],
        cgroup_parent="/argosy",
        seccomp="",
        endpoints=[],
        joined=joined or {},
        init=init,
    )


def test_the_engine_and_the_kernel_layer_number_capabilities_alike() -> None:
    assert list(oci.ALL_CAPABILITIES) == caps.NAMES


def test_by_default_a_container_keeps_dockers_fourteen() -> None:
    assert len(oci.capabilities(HostConfig())) == 14
    assert "CAP_SYS_ADMIN" not in oci.capabilities(HostConfig())


@given(NAMES, NAMES)
def test_what_is_added_is_there_and_what_is_only_dropped_is_not(added: list[str], dropped: list[str]) -> None:
    def full(name: str) -> str:
        return "CAP_" + name.upper().removeprefix("CAP_")

    kept = oci.capabilities(HostConfig(cap_add=added, cap_drop=dropped))
    assert {full(name) for name in added} <= set(kept)
    assert not ({full(name) for name in dropped} - {full(name) for name in added}) & set(kept)


def test_all_can_be_added_or_dropped() -> None:
    assert set(oci.capabilities(HostConfig(cap_add=["ALL"]))) == set(oci.ALL_CAPABILITIES)
    assert oci.capabilities(HostConfig(cap_drop=["all"])) == []
    assert oci.capabilities(HostConfig(cap_drop=["ALL"], cap_add=["NET_BIND_SERVICE"])) == [
        "CAP_NET_BIND_SERVICE"
    ]
    assert "CAP_CHOWN" not in oci.capabilities(HostConfig(cap_add=["ALL"], cap_drop=["CHOWN"]))
    assert oci.capabilities(HostConfig(privileged=True, cap_drop=["ALL"])) == list(oci.ALL_CAPABILITIES)


def test_an_unknown_capability_is_named() -> None:
    with pytest.raises(InvalidParameter, match='unknown capability: "CAP_FLY"'):
        oci.capabilities(HostConfig(cap_add=["fly"]))


def test_the_containers_variables_replace_dockers() -> None:
    made = oci.environment(["A=1", "PATH=/x", "A=2", "EMPTY=", "TWO=a=b"], "host", terminal=True)
    assert made == ["PATH=/x", "HOSTNAME=host", "TERM=xterm", "A=2", "EMPTY=", "TWO=a=b"]
    assert "TERM=xterm" not in oci.environment([], "host", terminal=False)


def test_a_name_without_a_value_takes_the_variable_away() -> None:
    assert oci.environment(["HOSTNAME", "NEVER"], "host", terminal=False) == [f"PATH={DEFAULT_PATH}"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ({}, {}),
        ({"memory": 100}, {"memory": {"limit": 100, "swap": 200}}),
        ({"memory": 100, "memory_swap": -1}, {"memory": {"limit": 100, "swap": -1}}),
        ({"memory": 100, "memory_swap": 100}, {"memory": {"limit": 100, "swap": 100}}),
        ({"memory_reservation": 5}, {"memory": {"reservation": 5}}),
        ({"memory_swappiness": 0}, {"memory": {"swappiness": 0}}),
        ({"memory_swappiness": -1}, {}),
        ({"nano_cpus": 1_500_000_000}, {"cpu": {"period": 100_000, "quota": 150_000}}),
        ({"cpu_period": 50_000, "cpu_quota": 25_000}, {"cpu": {"period": 50_000, "quota": 25_000}}),
        ({"cpu_shares": 512, "cpuset_cpus": "0"}, {"cpu": {"shares": 512, "cpus": "0"}}),
        ({"pids_limit": 7}, {"pids": {"limit": 7}}),
        ({"pids_limit": -1}, {}),
        ({"pids_limit": 0}, {}),
        ({"blkio_weight": 300}, {"blockIO": {"weight": 300}}),
    ],
)
def test_limits_become_the_runtimes(host: dict[str, Any], expected: dict[str, Any]) -> None:
    found = oci.resources(HostConfig(**host))
    del found["devices"]
    assert found == expected


def test_devices_are_denied_but_for_the_usual_ones() -> None:
    rules = oci.resources(HostConfig())["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"} in rules
    assert not any(rule["allow"] and rule.get("major") == 8 for rule in rules)
    assert oci.resources(HostConfig(privileged=True))["devices"] == [{"allow": True, "access": "rwm"}]


def test_a_device_that_is_asked_for_is_allowed_and_made() -> None:
    host = HostConfig(devices=[DeviceMapping("/dev/zero", "/dev/nought", "r")])
    assert oci.resources(host)["devices"][-1] == {
        "allow": True,
        "type": "c",
        "major": 1,
        "minor": 5,
        "access": "r",
    }
    [device] = config(host=host)["linux"]["devices"]
    assert (device["path"], device["major"], device["minor"]) == ("/dev/nought", 1, 5)


def test_what_is_no_device_is_refused() -> None:
    for path in ("/dev/never", "/etc"):
        with pytest.raises(InvalidParameter, match="error gathering device information"):
            oci.resources(HostConfig(devices=[DeviceMapping(path)]))


def test_a_device_rule_is_read_or_refused() -> None:
    host = HostConfig(device_cgroup_rules=["c 10:* rm"])
    assert oci.resources(host)["devices"][-1] == {
        "allow": True, "type": "c", "major": 10, "minor": -1, "access": "rm"
    }  # fmt: skip
    with pytest.raises(InvalidParameter, match="invalid device cgroup rule format: 'c 10'"):
        oci.resources(HostConfig(device_cgroup_rules=["c 10"]))


def kinds(document: Config) -> dict[str, str]:
    return {entry["type"]: entry.get("path", "") for entry in document["linux"]["namespaces"]}


def test_every_namespace_is_new_unless_it_is_the_hosts_or_lent() -> None:
    assert set(kinds(config())) == {"mount", "pid", "network", "ipc", "uts", "cgroup"}
    host = HostConfig(
        network_mode="host", pid_mode="host", ipc_mode="host", uts_mode="host", cgroupns_mode="host"
    )
    assert set(kinds(config(host=host))) == {"mount"}
    assert kinds(config({"network": "/proc/9/ns/net"}))["network"] == "/proc/9/ns/net"


def test_the_hosts_name_is_not_set_in_the_hosts_uts_namespace() -> None:
    assert config()["hostname"] == "host"
    assert "hostname" not in config(host=HostConfig(uts_mode="host"))


def destinations(document: Config) -> list[str]:
    return [mount["destination"] for mount in document["mounts"]]


def options(document: Config, destination: str) -> list[str]:
    return next(mount["options"] for mount in document["mounts"] if mount["destination"] == destination)


def test_kernel_file_systems_come_first_and_deeper_targets_after_shallower() -> None:
    points = [
        MountPoint("bind", "/x", "/a/b/c"),
        MountPoint("bind", "/y", "/a"),
        MountPoint("bind", "/z", "/a/b"),
    ]
    order = destinations(config(mounts=points, host=HostConfig(tmpfs={"/a/t": ""})))
    assert order[:3] == ["/proc", "/dev", "/sys"]
    assert [place.count("/") for place in order] == sorted(place.count("/") for place in order)
    assert order.index("/dev/pts") > order.index("/dev") and order.index("/sys/fs/cgroup") > order.index(
        "/sys"
    )
    assert order.index("/a") < order.index("/a/b") < order.index("/a/b/c")
    assert order.index("/a") < order.index("/a/t")


def test_what_the_user_mounts_replaces_what_would_be_there() -> None:
    points = [MountPoint("bind", "/x", "/etc/hosts"), MountPoint("bind", "/y", "/dev/shm")]
    document = config(mounts=points)
    assert destinations(document).count("/etc/hosts") == 1
    assert destinations(document).count("/dev/shm") == 1
    assert "/etc/resolv.conf" in destinations(document)


def test_kernel_file_systems_are_read_only_unless_privileged() -> None:
    assert "ro" in options(config(), "/sys")
    assert "ro" in options(config(), "/sys/fs/cgroup")
    assert "rw" in options(config(host=HostConfig(privileged=True)), "/sys")
    assert "ro" in options(config(host=HostConfig(network_mode="host")), "/sys")


def test_the_size_of_shared_memory_is_docker_s_or_as_asked() -> None:
    assert "size=67108864" in options(config(), "/dev/shm")
    assert "size=1024" in options(config(host=HostConfig(shm_size=1024)), "/dev/shm")


def test_the_hosts_shared_memory_is_bound_when_its_ipc_is_used() -> None:
    assert options(config(host=HostConfig(ipc_mode="host")), "/dev/shm") == ["rbind"]


def test_a_volume_may_be_read_only_and_propagate() -> None:
    points = [MountPoint("bind", "/x", "/x", rw=False, propagation="rslave")]
    document = config(mounts=points)
    assert options(document, "/x") == ["rbind", "ro", "rslave"]
    assert document["linux"]["rootfsPropagation"] == "rslave"
    assert config()["linux"]["rootfsPropagation"] == "rprivate"


def test_a_tmpfs_is_restricted_unless_it_says_otherwise() -> None:
    document = config(host=HostConfig(tmpfs={"/t": "exec,size=1m"}))
    assert options(document, "/t") == ["nosuid", "nodev", "noexec", "exec", "size=1m"]


def test_paths_are_masked_as_asked_and_never_for_the_privileged() -> None:
    host = HostConfig(masked_paths=["/m"], readonly_paths=["/r"])
    assert config(host=host)["linux"]["maskedPaths"] == ["/m"]
    assert config(host=host)["linux"]["readonlyPaths"] == ["/r"]
    host = HostConfig(masked_paths=["/m"], readonly_paths=["/r"], privileged=True)
    assert config(host=host)["linux"]["maskedPaths"] == config(host=host)["linux"]["readonlyPaths"] == []
    assert {"/proc/kcore", "/proc/keys", "/sys/firmware", "/proc/timer_list"} <= set(oci.MASKED_PATHS)
    assert "/proc/sys" in oci.READONLY_PATHS


def test_the_program_and_its_arguments_follow_the_init() -> None:
    assert config()["process"]["args"] == ["sh", "-c", "true"]
    document = config(init="/usr/bin/init")
    assert document["process"]["args"] == ["/sbin/docker-init", "--", "sh", "-c", "true"]
    assert options(document, "/sbin/docker-init") == ["bind", "ro"]


def test_a_container_has_a_group_of_its_own_below_its_parent() -> None:
    assert config()["linux"]["cgroupsPath"] == "/argosy/" + "c" * 64
    assert config(host=HostConfig(cgroup_parent="/p/"))["linux"]["cgroupsPath"] == "/p/" + "c" * 64


@pytest.mark.parametrize(
    ("parent", "expected"),
    [("../../x", "/x/"), ("/../x/./y/..", "/x/"), ("..", "/"), ("/", "/"), ("//a//b//", "/a/b/")],
)
def test_no_parent_of_a_group_lies_above_the_root_of_all_groups(parent: str, expected: str) -> None:
    assert config(host=HostConfig(cgroup_parent=parent))["linux"]["cgroupsPath"] == expected + "c" * 64


def test_a_path_with_dots_is_no_group() -> None:
    with pytest.raises(ValueError, match="is no path of a control group"):
        cgroup.group("/argosy/../../etc")


def test_a_terminal_has_a_size_only_when_one_is_given() -> None:
    tty = ContainerConfig(tty=True)
    sized = config(config=tty, host=HostConfig(console_size=[24, 80]))["process"]
    assert sized["consoleSize"] == {"height": 24, "width": 80}
    assert "consoleSize" not in config(config=tty, host=HostConfig(console_size=[0, 0]))["process"]


def test_user_limits_and_privileges_are_passed_on() -> None:
    host = HostConfig(
        ulimits=[Ulimit("nofile", 20, 10)], group_add=["crew"], security_opt=["no-new-privileges:true"]
    )
    process = config(config=ContainerConfig(user="sailor:crew"), host=host)["process"]
    assert process["argosyUser"] == "sailor:crew"
    assert process["argosyGroups"] == ["crew"]
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}]
    assert process["noNewPrivileges"]
    assert process["capabilities"]["ambient"] == process["capabilities"]["inheritable"] == []
