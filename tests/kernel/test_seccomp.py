"""Compiled filters, on the kernel that runs them."""

import ctypes
import errno
import os
import struct

import pytest

from argosy.linux import process, seccomp
from argosy.linux.libc import libc
from argosy.runtime.seccomp_policy import default_policy

pytestmark = pytest.mark.root


def errors(program: bytes, numbers: list[int]) -> list[int]:
    """What a filtered process is told for each system call."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
            seccomp.install(program)
            for number in numbers:
                failed = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(-1),) * 5) < 0
                os.write(writer, struct.pack("i", ctypes.get_errno() if failed else 0))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answers:
        found = answers.read()
    os.waitpid(child, 0)
    return [value for (value,) in struct.iter_unpack("i", found)]


PIVOT_ROOT = 155 if os.uname().machine == "x86_64" else 41


def test_a_call_younger_than_the_policy_is_none_and_one_that_it_forbids_is_not_permitted() -> None:
    policy = default_policy([])
    program = seccomp.compile_filter(policy.default_errno, policy.rules)
    younger = [600, 1000, 0x3FFFFFFF]
    assert errors(program, [PIVOT_ROOT, *younger]) == [errno.EPERM] + [errno.ENOSYS] * 3


def test_a_policy_that_allows_what_it_does_not_forbid_forbids_nothing_younger() -> None:
    """An errno of the kernel's own: it has no such call, either."""
    forbidden = seccomp.Rule("pivot_root", errno=errno.EXDEV)
    program = seccomp.compile_filter(0, (forbidden,))
    assert errors(program, [PIVOT_ROOT, 600]) == [errno.EXDEV, errno.ENOSYS]


def test_calls_of_the_other_abis_of_this_machine_are_not_taken_for_younger_ones() -> None:
    if os.uname().machine == "x86_64":
        policy = default_policy([])
        program = seccomp.compile_filter(policy.default_errno, policy.rules)
        # x32's number of pivot_root, which is forbidden there as here.
        assert errors(program, [0x40000000 | PIVOT_ROOT]) == [errno.EPERM]
