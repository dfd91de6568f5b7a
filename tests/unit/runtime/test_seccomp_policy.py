import json
import os
from pathlib import Path
from typing import Any

import pytest

from argosy.linux.seccomp import Argument, Rule
from argosy.runtime.seccomp_policy import ENOSYS, EPERM, Policy, compiled, default_policy, parse_policy


def allowed(policy: Policy) -> set[str]:
    """Calls that are allowed whatever their arguments."""
    return {rule.name for rule in policy.rules if not rule.errno and not rule.arguments}


def rules_for(policy: Policy, name: str) -> list[Rule]:
    return [rule for rule in policy.rules if rule.name == name]


def test_what_is_not_allowed_is_not_permitted() -> None:
    assert default_policy([]).default_errno == EPERM


def test_everyday_calls_are_allowed_to_everybody() -> None:
    calls = (
        "read write openat execve mmap futex clone3_ socket_ epoll_wait statx getrandom rseq ptrace".split()
    )
    assert {call for call in calls if not call.endswith("_")} <= allowed(default_policy([]))


@pytest.mark.parametrize(
    "call",
    "mount umount2 unshare setns bpf pivot_root reboot kexec_load init_module delete_module swapon keyctl add_key "
    "request_key perf_event_open open_by_handle_at settimeofday iopl io_uring_setup userfaultfd quotactl acct".split(),
)
def test_calls_that_reach_the_host_are_not_allowed(call: str) -> None:
    assert call not in allowed(default_policy([]))


@pytest.mark.parametrize(
    ("capability", "call"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_BPF", "bpf"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_SYS_NICE", "mbind"),
    ],
)
def test_a_capability_opens_its_calls(capability: str, call: str) -> None:
    assert call not in allowed(default_policy([]))
    assert call in allowed(default_policy([capability]))


def test_clone3_pretends_not_to_exist_so_that_clone_is_used() -> None:
    policy = default_policy([])
    assert rules_for(policy, "clone3") == [Rule("clone3", errno=ENOSYS)]
    [clone] = rules_for(policy, "clone")
    assert clone.arguments == (Argument(0, "masked", 0, mask=0x7E020000),)
    assert default_policy([], "s390x").rules[-2].arguments[0].number == 1


def test_sockets_of_the_kernels_crypto_and_of_virtual_machines_are_not_allowed() -> None:
    def opens(family: int) -> bool:
        tests = {"<": int.__lt__, "==": int.__eq__, ">": int.__gt__}
        return any(
            all(tests[argument.operator](family, argument.value) for argument in rule.arguments)
            for rule in rules_for(default_policy([]), "socket")
        )

    assert opens(1) and opens(2) and opens(10) and opens(16)
    assert not opens(38)
    assert not opens(40)


def test_calls_of_a_machine_are_allowed_on_it() -> None:
    assert "arch_prctl" in allowed(default_policy([], "x86_64"))
    assert "arch_prctl" not in allowed(default_policy([], "aarch64"))


def profile(*entries: dict[str, Any], **more: Any) -> str:
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": entries, **more})


def test_a_profile_of_ones_own_is_read() -> None:
    text = profile(
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {"name": "open", "action": "SCMP_ACT_ERRNO", "errnoRet": 2},
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        },
        defaultErrnoRet=13,
    )
    assert parse_policy(text, []) == Policy(
        13,
        (
            Rule("read"),
            Rule("write"),
            Rule("open", errno=2),
            Rule("clone", arguments=(Argument(0, "masked", 0, mask=0x7E020000),)),
        ),
    )


def test_rules_apply_by_capability_and_architecture() -> None:
    text = profile(
        {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}},
        {"names": ["b"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_BPF"]}},
        {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["d"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["arm64"]}},
    )
    assert allowed(parse_policy(text, ["CAP_BPF"], "aarch64")) == {"a", "c"}
    assert allowed(parse_policy(text, [], "x86_64")) == {"b", "d"}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "1",
        '{"syscalls": [1]}',
        '{"syscalls": 1}',
        '{"syscalls": [{"names": ["a"]}]}',
        profile({"names": ["a"], "action": "SCMP_ACT_KILL_EVERYTHING"}),
        profile({"names": ["a"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "IS"}]}),
    ],
)
def test_a_profile_that_makes_no_sense_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_policy(text, [])


def test_a_policy_is_compiled_once(tmp_path: Path) -> None:
    cache = os.fspath(tmp_path / "cache")
    policy = default_policy(["CAP_CHOWN"])
    path = compiled(policy, cache)
    inode = os.stat(path).st_ino
    assert compiled(policy, cache) == path
    assert os.stat(path).st_ino == inode
    assert compiled(default_policy(["CAP_SYS_ADMIN"]), cache) != path
    assert len(os.listdir(cache)) == 2
    assert os.path.getsize(path) % 8 == 0
