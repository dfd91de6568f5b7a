"""Control groups on the hierarchies of this host. Needs root."""

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from argosy.linux import cgroup

pytestmark = pytest.mark.root
_numbers = itertools.count()


@pytest.fixture
def parent() -> Iterator[str]:
    name = f"/agt-cgroup-{os.getpid()}-{next(_numbers)}"
    yield name
    for child in cgroup.children(name):
        cgroup.group(f"{name}/{child}").remove()
    cgroup.group(name).remove()
    assert not cgroup.children(name)


@pytest.fixture
def inside() -> Iterator[Callable[[cgroup.Group], int]]:
    """Puts a sleeping process into a group and returns its pid."""
    pids: list[int] = []

    def enter(group: cgroup.Group) -> int:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                group.join()
                os.write(writer, b"in")
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        pids.append(pid)
        assert os.read(reader, 2) == b"in"
        os.close(reader)
        return pid

    yield enter
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_a_group_is_made_and_removed_in_every_hierarchy(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create({})
    assert cgroup.children(parent) == {"c"}
    assert group.pids() == []
    group.remove()
    group.remove()
    assert cgroup.children(parent) == set()


def test_making_a_group_that_is_there_changes_its_limits(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create({"pids": {"limit": 10}})
    group.create({"pids": {"limit": 20}})
    assert group.stats()["pids"]["limit"] == 20


def test_a_process_joins_by_itself(parent: str, inside: Callable[[cgroup.Group], int]) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create({})
    pid = inside(group)
    assert group.pids() == [pid]
    assert group.stats()["pids"]["current"] == 1
    with open(f"/proc/{pid}/cgroup") as file:
        assert f"{parent}/c" in file.read()


def test_a_group_with_a_process_in_it_is_not_removed(
    parent: str, inside: Callable[[cgroup.Group], int]
) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create({})
    pid = inside(group)
    with pytest.raises(OSError, match="busy"):
        group.remove()
    kill(pid)
    for _ in range(500):
        if not group.pids():
            break
        time.sleep(0.002)


def test_limits_are_the_kernels_then(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create(
        {"memory": {"limit": 64 << 20, "swap": 64 << 20}, "pids": {"limit": 33}, "cpu": {"shares": 512}}
    )
    stats = group.stats()
    assert stats["memory"]["limit"] == 64 << 20
    assert stats["pids"]["limit"] == 33


def test_a_memory_limit_can_be_raised_and_lowered_with_its_swap(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create({"memory": {"limit": 64 << 20, "swap": 64 << 20}})
    for megabytes in (256, 32, 128):
        group.update({"memory": {"limit": megabytes << 20, "swap": megabytes << 20}})
        assert group.stats()["memory"]["limit"] == megabytes << 20


def test_a_limit_that_makes_no_sense_is_named(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    with pytest.raises(OSError, match="cannot set '99'"):
        group.create({"cpu": {"cpus": "99"}})


def test_freezing_stops_and_thawing_lets_go_on(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create({})
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            group.join()
            os.close(reader)
            while True:
                os.write(writer, b".")
                time.sleep(0.002)
        finally:
            os._exit(1)
    os.close(writer)
    os.read(reader, 1)
    group.freeze(True)
    assert group.is_frozen()
    time.sleep(0.03)
    os.set_blocking(reader, False)
    with contextlib.suppress(BlockingIOError):
        os.read(reader, 65536)
    time.sleep(0.03)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    group.freeze(False)
    assert not group.is_frozen()
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"."
    kill(pid)
    os.waitpid(pid, 0)
    os.close(reader)


def test_use_is_counted(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    group.create({})
    pid = os.fork()
    if pid == 0:
        group.join()
        waste = b"x" * (16 << 20)
        os._exit(len(waste) == 0)
    os.waitpid(pid, 0)
    stats = group.stats()
    assert stats["cpu"]["total"] > 0
    assert stats["memory"]["max_usage"] > 8 << 20
    assert group.oom_kills() == 0


def test_a_device_that_is_not_allowed_cannot_be_opened(parent: str) -> None:
    group = cgroup.group(f"{parent}/c")
    null = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
    group.create({"devices": [{"allow": False, "access": "rwm"}, null]})
    pid = os.fork()
    if pid == 0:
        try:
            group.join()
            os.open("/dev/null", os.O_RDONLY)
            try:
                os.open("/dev/zero", os.O_RDONLY)
            except PermissionError:
                os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_group_that_is_gone_has_nothing_in_it() -> None:
    group = cgroup.group(f"/agt-cgroup-{os.getpid()}-never")
    assert group.pids() == []
    assert group.oom_kills() == 0
    assert group.stats()["memory"]["usage"] == 0
