"""Limits as each version of the hierarchy spells them, on directories that stand in for cgroupfs."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.linux import cgroup

V1_FILES = {
    "memory": "memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.swappiness "
    "memory.oom_control",
    "cpu": "cpu.shares cpu.cfs_period_us cpu.cfs_quota_us",
    "cpuset": "cpuset.cpus cpuset.mems",
    "pids": "pids.max",
    "blkio": "blkio.weight",
    "devices": "devices.allow devices.deny",
}
V2_FILES = (
    "memory.max memory.swap.max memory.low cpu.weight cpu.max cpuset.cpus cpuset.mems pids.max io.weight"
)


@pytest.fixture
def v1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for controller, files in V1_FILES.items():
        group = tmp_path / controller / "g"
        group.mkdir(parents=True)
        for name in files.split():
            (group / name).touch()
    hierarchies = ({name: os.fspath(tmp_path / name) for name in V1_FILES}, "")
    monkeypatch.setattr(cgroup, "_hierarchies", lambda: hierarchies)
    yield tmp_path


@pytest.fixture
def v2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "g").mkdir()
    for name in V2_FILES.split():
        (tmp_path / "g" / name).touch()
    monkeypatch.setattr(cgroup, "_hierarchies", lambda: ({}, os.fspath(tmp_path)))
    yield tmp_path / "g"


def written(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir() if path.read_text()}


def test_a_host_with_controllers_of_version_1_is_version_1_even_when_hybrid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroup, "_hierarchies", lambda: ({"memory": "/m"}, "/unified"))
    assert cgroup.version() == 1
    assert cgroup.controllers() == ["memory"]
    monkeypatch.setattr(cgroup, "_hierarchies", lambda: ({}, "/unified"))
    assert cgroup.version() == 2


def test_memory_and_swap_are_limited_together_on_version_1(v1: Path) -> None:
    cgroup.group("/g").update({"memory": {"limit": 100, "swap": 300, "reservation": 50, "swappiness": 0}})
    assert written(v1 / "memory" / "g") == {
        "memory.limit_in_bytes": "100",
        "memory.memsw.limit_in_bytes": "300",
        "memory.soft_limit_in_bytes": "50",
        "memory.swappiness": "0",
    }


def test_swap_is_limited_by_itself_on_version_2(v2: Path) -> None:
    cgroup.group("/g").update({"memory": {"limit": 100, "swap": 300, "reservation": 50}})
    assert written(v2) == {"memory.max": "100", "memory.swap.max": "200", "memory.low": "50"}


def test_no_limit_is_written_as_max_on_version_2(v2: Path) -> None:
    cgroup.group("/g").update({"memory": {"limit": -1, "swap": -1}, "pids": {"limit": -1}})
    assert written(v2) == {"memory.max": "max", "memory.swap.max": "max", "pids.max": "max"}


def test_the_out_of_memory_killer_is_switched_off_on_request(v1: Path) -> None:
    cgroup.group("/g").update({"memory": {"limit": 1, "disableOOMKiller": True}})
    assert written(v1 / "memory" / "g")["memory.oom_control"] == "1"


def test_cpu_time_is_shares_period_and_quota_on_version_1(v1: Path) -> None:
    cgroup.group("/g").update(
        {"cpu": {"shares": 512, "period": 50000, "quota": 25000, "cpus": "0", "mems": "0"}}
    )
    assert written(v1 / "cpu" / "g") == {
        "cpu.shares": "512",
        "cpu.cfs_period_us": "50000",
        "cpu.cfs_quota_us": "25000",
    }
    assert written(v1 / "cpuset" / "g") == {"cpuset.cpus": "0", "cpuset.mems": "0"}


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ({"period": 50000, "quota": 25000}, "25000 50000"),
        ({"quota": 25000}, "25000 100000"),
        ({"period": 50000}, "max 50000"),
        ({"quota": -1, "period": 100000}, "max 100000"),
    ],
)
def test_cpu_time_is_one_file_on_version_2(v2: Path, cpu: dict[str, int], expected: str) -> None:
    cgroup.group("/g").update({"cpu": cpu})
    assert written(v2) == {"cpu.max": expected}


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000), (1, 1), (10**9, 10000)])
def test_shares_are_mapped_to_weights_on_version_2(v2: Path, shares: int, weight: int) -> None:
    cgroup.group("/g").update({"cpu": {"shares": shares}})
    assert written(v2) == {"cpu.weight": str(weight)}


def test_the_weight_of_block_devices_is_written_where_there_is_one(v1: Path) -> None:
    cgroup.group("/g").update({"blockIO": {"weight": 300}, "pids": {"limit": 7}})
    assert written(v1 / "blkio" / "g") == {"blkio.weight": "300"}
    assert written(v1 / "pids" / "g") == {"pids.max": "7"}


def test_a_limit_whose_file_is_missing_is_an_error_unless_it_is_a_courtesy(v1: Path) -> None:
    (v1 / "memory" / "g" / "memory.memsw.limit_in_bytes").unlink()
    (v1 / "blkio" / "g" / "blkio.weight").unlink()
    cgroup.group("/g").update({"memory": {"limit": 1, "swap": 2}, "blockIO": {"weight": 300}})
    (v1 / "pids" / "g" / "pids.max").unlink()
    with pytest.raises(FileNotFoundError):
        cgroup.group("/g").update({"pids": {"limit": 7}})


def test_a_limit_of_a_controller_that_is_not_mounted_is_an_error(
    v1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_hierarchies", lambda: ({"pids": os.fspath(v1 / "pids")}, ""))
    with pytest.raises(OSError, match="memory cgroup controller is not mounted"):
        cgroup.group("/g").update({"memory": {"limit": 1}})


def test_device_rules_are_written_one_by_one_in_order(v1: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 136, "minor": -1, "access": "rw"},
    ]
    for name in ("cpuset.cpus", "cpuset.mems"):
        (v1 / "cpuset" / "g" / name).write_text("0")
    cgroup.group("/g").create({"devices": rules})
    assert written(v1 / "devices" / "g") == {"devices.deny": "a", "devices.allow": "c 136:* rw"}


def allowed(program: bytes, kind: str, access: str, major: int, minor: int) -> bool:
    """Runs a device program as the kernel would: the handful of instructions that it is made of."""
    bits = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    context = [{"b": 1, "c": 2}[kind] | bits << 16, major, minor]
    registers = [0] * 11
    position = 0
    while True:
        code, operands, offset, immediate = struct.unpack_from("<BBhi", program, position * 8)
        target, source = operands & 15, operands >> 4
        position += 1
        match code:
            case 0x61:
                registers[target] = context[offset // 4]
            case 0x54:
                registers[target] &= immediate & 0xFFFFFFFF
            case 0x74:
                registers[target] >>= immediate
            case 0xB7:
                registers[target] = immediate
            case 0xBC:
                registers[target] = registers[source]
            case 0x56:
                if registers[target] != immediate & 0xFFFFFFFF:
                    position += offset
            case 0x95:
                return bool(registers[0])
            case _:
                raise AssertionError(f"instruction {code:#x}")


RULES = st.lists(
    st.fixed_dictionaries(
        {
            "allow": st.booleans(),
            "type": st.sampled_from(["a", "b", "c"]),
            "major": st.integers(-1, 2),
            "minor": st.integers(-1, 2),
            "access": st.sampled_from(["r", "w", "m", "rw", "rm", "rwm"]),
        }
    ),
    max_size=6,
)


@given(
    RULES,
    st.sampled_from(["b", "c"]),
    st.sampled_from(["r", "w", "m", "rw"]),
    st.integers(0, 2),
    st.integers(0, 2),
)
def test_the_last_device_rule_that_matches_decides(
    rules: list[dict[str, Any]], kind: str, access: str, major: int, minor: int
) -> None:
    verdict = False
    for rule in rules:
        if rule["type"] == "a" or (
            rule["type"] == kind
            and set(access) <= set(rule["access"])
            and rule["major"] in (-1, major)
            and rule["minor"] in (-1, minor)
        ):
            verdict = rule["allow"]
    assert allowed(cgroup.device_program(rules), kind, access, major, minor) == verdict
