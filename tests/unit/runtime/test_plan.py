"""The order in which a container's world is made."""

import marshal
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.linux import mount, namespaces
from argosy.runtime import mounting, plan
from argosy.runtime import operations as op
from argosy.spec.oci_runtime import Config, Endpoint, Process

KINDS = list(namespaces.NAMESPACES)
MOUNTING = (
    mounting.MountRoot,
    mounting.FileSystemMount,
    mounting.BindMount,
    mounting.MountCgroups,
    mounting.CopyUp,
    mounting.MakeDevices,
)
ENDPOINT: Endpoint = {
    "name": "eth0",
    "host_name": "agtx",
    "bridge": 7,
    "mac": "02:42:0a:00:00:02",
    "mtu": 1500,
    "addresses": ["10.0.0.2/24"],
    "gateway": "10.0.0.1",
    "hairpin": False,
}


def config(**changes: Any) -> Config:
    document: Config = {
        "process": {"args": ["true"], "cwd": "/"},
        "root": {"path": "/r"},
        "mounts": [],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup")]
        },
        "argosy": {},
    }
    for name, value in changes.items():
        if name in ("linux", "process", "root", "argosy"):
            document[name].update(value)  # type: ignore[literal-required]
        else:
            document[name] = value  # type: ignore[literal-required]
    return document


def kinds(steps: list[op.Operation]) -> list[type]:
    return [type(step) for step in steps]


def only(steps: list[op.Operation], kind: type) -> Any:
    found = [step for step in steps if isinstance(step, kind)]
    assert len(found) == 1
    return found[0]


_MOUNTED = (mounting.FileSystemMount, mounting.BindMount, mounting.MountCgroups)


@given(st.sets(st.sampled_from(KINDS)), st.sets(st.sampled_from(KINDS)))
def test_every_namespace_is_made_or_joined_once(new: set[str], lent: set[str]) -> None:
    lent -= new
    entries = [{"type": kind} for kind in sorted(new)]
    entries += [{"type": kind, "path": f"/proc/1/ns/{kind}"} for kind in sorted(lent)]
    document = config(linux={"namespaces": entries})
    steps = plan.plan_init(document)
    made = [plan.clone_flags(document), *(step.flags for step in steps if isinstance(step, op.Unshare))]
    # Summed, not joined: none is made twice.
    assert sum(made) == sum(namespaces.NAMESPACES[kind][0] for kind in new)
    joined = {step.kind for step in steps if isinstance(step, op.JoinNamespace)}
    # A process enters a PID namespace by being born there: who clones it must have joined before.
    assert joined == lent - {"pid"}
    assert plan.pid_namespace(document) == ("/proc/1/ns/pid" if "pid" in lent else "")


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "destination": st.sampled_from(["/proc", "/dev", "/dev/pts", "/data", "/sys/fs/cgroup"]),
                "type": st.sampled_from(["proc", "tmpfs", "bind", "cgroup"]),
                "source": st.just("/src"),
                "options": st.lists(st.sampled_from(["ro", "rbind", "nosuid"])),
            }
        ),
        max_size=6,
    ),
    st.booleans(),
    st.booleans(),
)
def test_nothing_is_mounted_from_outside_after_the_root_has_been_pivoted_to(
    mounts: list[dict[str, Any]], readonly: bool, terminal: bool
) -> None:
    document = config(
        mounts=mounts,
        root={"readonly": readonly},
        process={"terminal": terminal},
        linux={"maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "sysctl": {"net.a": "1"}},
    )
    order = kinds(plan.plan_init(document))
    pivot = order.index(mounting.PivotRoot)
    assert order.count(mounting.PivotRoot) == 1
    assert all(kind not in MOUNTING for kind in order[pivot:])
    inside = (mounting.RemountReadonly, op.OpenTerminal, op.LookUpUser)
    assert all(kind not in inside for kind in order[:pivot])
    # While /dev/null and /proc/self/fd are still the host's.
    before = (op.SetSysctl, mounting.MaskPaths, mounting.ReadonlyPath)
    assert all(kind not in before for kind in order[pivot:])
    mounted = [number for number, kind in enumerate(order) if kind in _MOUNTED]
    assert all(number < order.index(op.SetSysctl) < order.index(mounting.ReadonlyPath) for number in mounted)
    assert order.index(mounting.SetPropagation) < order.index(mounting.MountRoot)


@given(
    st.fixed_dictionaries(
        {"args": st.lists(st.text(min_size=1), min_size=1)},
        optional={"noNewPrivileges": st.booleans(), "argosyUser": st.text(), "terminal": st.booleans()},
    )
)
def test_privileges_are_dropped_right_before_the_program_which_comes_last(process: dict[str, Any]) -> None:
    steps = plan.plan_credentials(process)  # type: ignore[arg-type]
    assert kinds(steps) == [op.BecomeUser, op.Exec]
    assert steps[1] == op.Exec(tuple(process["args"]))
    assert not any(
        isinstance(step, (op.Exec, op.BecomeUser)) for step in plan.plan_init(config(process=process))
    )


@pytest.mark.parametrize("mounts", [[], [{"destination": "/sys/fs/cgroup", "type": "cgroup"}]])
def test_the_group_is_joined_before_its_namespace_is_made_and_that_before_it_is_mounted(
    mounts: list[dict[str, str]],
) -> None:
    steps = plan.plan_init(config(linux={"cgroupsPath": "/x/y"}, mounts=mounts))
    order = kinds(steps)
    made = steps.index(op.Unshare(namespaces.CLONE_NEWCGROUP))
    assert order.index(op.JoinCgroup) < made < order.index(mounting.PivotRoot)
    assert order.count(op.JoinCgroup) == 1
    if mounts:
        assert made < order.index(mounting.MountCgroups)


def test_what_the_host_has_is_opened_before_the_host_is_left() -> None:
    steps = plan.plan_init(config(argosy={"endpoints": [ENDPOINT]}))
    order = kinds(steps)
    assert order.index(op.OpenHostNetwork) < order.index(op.Unshare) < order.index(op.AddEndpoint)


def test_namespaces_of_others_are_joined_before_own_ones_are_made() -> None:
    entries = [{"type": "mount"}, {"type": "network", "path": "/proc/9/ns/net"}]
    order = kinds(plan.plan_init(config(linux={"namespaces": entries})))
    assert order.index(op.JoinNamespace) < order.index(op.Unshare)


def test_a_container_in_the_network_of_another_gets_no_interfaces() -> None:
    entries = [{"type": "mount"}, {"type": "network", "path": "/proc/9/ns/net"}]
    document = config(linux={"namespaces": entries}, argosy={"endpoints": [ENDPOINT]})
    order = kinds(plan.plan_init(document))
    assert op.LoopbackUp not in order
    assert op.AddEndpoint not in order


def test_the_hosts_name_is_never_changed() -> None:
    assert op.SetHostname in kinds(plan.plan_init(config(hostname="sea")))
    without = config(hostname="sea", linux={"namespaces": [{"type": "mount"}]})
    assert op.SetHostname not in kinds(plan.plan_init(without))


def test_devices_are_made_as_soon_as_dev_is_mounted() -> None:
    mounts = [
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": []},
    ]
    own = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}
    steps = plan.plan_init(config(mounts=mounts, linux={"devices": [own]}))
    made = [device["path"] for device in only(steps, mounting.MakeDevices).devices]
    assert made == [
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
        "/dev/tty",
        "/dev/fuse",
    ]
    described = [step.describe() for step in steps]
    made_at = described.index(f"make devices {' '.join(made)}")
    assert described.index("mount tmpfs on /dev") < made_at < described.index("mount devpts on /dev/pts")


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"type": "bind", "options": []}, mounting.BindMount),
        ({"options": ["bind"]}, mounting.BindMount),
        ({"type": "none", "options": ["rbind", "ro"]}, mounting.BindMount),
        ({"type": "tmpfs", "options": []}, mounting.FileSystemMount),
        ({"type": "cgroup", "options": []}, mounting.MountCgroups),
    ],
)
def test_a_mount_is_made_according_to_its_type_or_options(entry: dict[str, Any], kind: type) -> None:
    document = config(mounts=[{"destination": "/m", "source": "/s", **entry}])
    only(plan.plan_init(document), kind)


def test_volumes_are_filled_with_what_the_image_has_before_anything_is_mounted_over_it() -> None:
    kernels = {"destination": "/sys", "type": "sysfs", "source": "sysfs"}
    entries = [
        {"destination": place, "type": "bind", "source": f"/v{number}", "options": ["rbind"]}
        for number, place in enumerate(("/data", "/sys/firmware", "/data/inner"))
    ]
    copied = [entry["destination"] for entry in entries]
    order = kinds(plan.plan_init(config(mounts=[kernels, *entries], argosy={"copyUp": copied})))
    copies = [number for number, kind in enumerate(order) if kind is mounting.CopyUp]
    mounted = [number for number, kind in enumerate(order) if kind in _MOUNTED]
    assert len(copies) == 3 and order.index(mounting.MountRoot) < min(copies)
    assert max(copies) < min(mounted)


def test_a_root_that_nobody_prepared_is_bound_onto_itself() -> None:
    assert only(plan.plan_init(config()), mounting.MountRoot) == mounting.MountRoot((), "/r")


def test_a_prepared_root_is_mounted_where_the_root_shall_be() -> None:
    prepared = [{"type": "overlay", "source": "overlay", "options": ["lowerdir=/a:/b"]}]
    root = only(plan.plan_init(config(argosy={"rootfs": prepared})), mounting.MountRoot)
    assert root == mounting.MountRoot((("overlay", "overlay", ("lowerdir=/a:/b",)),), "/r")


def test_layers_that_are_devices_are_opened_before_the_group_forbids_it() -> None:
    prepared = [
        {"type": "erofs", "source": "/dev/loop1", "options": ["ro", "device=/dev/loop2"]},
        {"type": "overlay", "source": "overlay", "options": ["lowerdir=%0"]},
    ]
    steps = plan.plan_init(config(linux={"cgroupsPath": "/g"}, argosy={"rootfs": prepared}))
    layers = (("erofs", "/dev/loop1", ("ro", "device=/dev/loop2")),)
    assert only(steps, mounting.OpenLayers) == mounting.OpenLayers(layers)
    order = kinds(steps)
    assert order.index(mounting.OpenLayers) < order.index(op.JoinCgroup)


def test_a_root_becomes_read_only_after_all_has_been_made_in_it() -> None:
    order = kinds(plan.plan_init(config(root={"readonly": True}, linux={"sysctl": {"a": "1"}})))
    assert (
        order.index(mounting.PivotRoot)
        < order.index(mounting.RemountReadonly)
        < order.index(op.EnterDirectory)
    )
    assert mounting.RemountReadonly not in kinds(plan.plan_init(config()))


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("", mount.MS_PRIVATE | mount.MS_REC),
        ("rslave", mount.MS_SLAVE | mount.MS_REC),
        ("rshared", mount.MS_SHARED | mount.MS_REC),
    ],
)
def test_mounts_reach_the_host_only_on_request(name: str, flags: int) -> None:
    steps = plan.plan_init(config(linux={"rootfsPropagation": name}))
    assert only(steps, mounting.SetPropagation).flags == flags


def test_a_further_process_finds_its_world_made() -> None:
    process: Process = {"args": ["sh"], "terminal": True, "argosyUser": "1000", "rlimits": []}
    assert kinds(plan.plan_exec(process)) == [op.OpenTerminal, op.LookUpUser, op.EnterDirectory]
    assert not only(plan.plan_exec(process), op.OpenTerminal).console
    assert not only(plan.plan_exec(process), op.EnterDirectory).create


def test_every_step_can_be_described() -> None:
    document = config(
        hostname="sea",
        root={"readonly": True},
        process={
            "terminal": True,
            "oomScoreAdj": 5,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}],
        },
        mounts=[
            {"destination": "/dev", "type": "tmpfs"},
            {"destination": "/b", "type": "bind", "source": "/s"},
            {"destination": "/c", "type": "cgroup"},
        ],
        linux={
            "cgroupsPath": "/x",
            "sysctl": {"a.b": "1"},
            "maskedPaths": ["/m"],
            "readonlyPaths": ["/p"],
            "namespaces": [{"type": "network"}, {"type": "ipc", "path": "/i"}, {"type": "uts"}],
        },
        argosy={"seccomp": "/s.bpf", "endpoints": [ENDPOINT], "copyUp": ["/b"]},
    )
    steps = [*plan.plan_init(document), *plan.plan_credentials(document["process"])]
    assert all(step.describe() for step in steps)
    assert "unshare network uts" in [step.describe() for step in steps]


def test_a_plan_reads_as_it_was_written() -> None:
    document = config(
        hostname="sea",
        mounts=[
            {"destination": "/proc", "type": "proc", "options": ["nosuid"]},
            {"destination": "/dev", "type": "tmpfs", "options": ["mode=755"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]},
            {"destination": "/b", "type": "bind", "source": "/srv", "options": ["rbind"]},
        ],
        linux={"cgroupsPath": "/x/y", "maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/bus"]},
        process={"terminal": True, "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]},
        argosy={"endpoints": [ENDPOINT], "marks": {"files": ["/.dockerenv"], "links": {"/etc/mtab": "/x"}}},
    )
    steps = plan.plan_init(document)
    carried = marshal.loads(marshal.dumps(plan.written(steps)))
    assert plan.read(carried) == steps
    assert kinds(plan.read(carried)) == kinds(steps)


def test_every_operation_can_be_read() -> None:
    steps = [*plan.plan_init(config()), *plan.plan_credentials(config()["process"])]
    assert plan.read(plan.written(steps)) == steps


def test_a_profile_confines_the_program_before_the_privileges_go() -> None:
    process: Process = {"args": ["sh"], "apparmorProfile": "docker-default"}
    assert kinds(plan.plan_credentials(process)) == [op.ConfineAtExec, op.BecomeUser, op.Exec]
    assert kinds(plan.plan_credentials({"args": ["sh"]})) == [op.BecomeUser, op.Exec]


def test_a_profile_is_told_to_the_kernel_and_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exec").write_text("")
    step = op.ConfineAtExec("docker-default", os.fspath(tmp_path))
    with pytest.raises(op.Refused, match="is not the kernel's"):
        step.execute(op.Context({}))
    monkeypatch.setattr(mount, "filesystem_type", lambda _: mount.PROC)
    step.execute(op.Context({}))
    assert (tmp_path / "exec").read_text() == "exec docker-default"
    (tmp_path / "apparmor").mkdir()
    (tmp_path / "apparmor/exec").write_text("")
    step.execute(op.Context({}))
    assert (tmp_path / "apparmor/exec").read_text() == "exec docker-default"
    with pytest.raises(op.Refused, match="the kernel takes none"):
        op.ConfineAtExec("x", os.fspath(tmp_path / "none")).execute(op.Context({}))
