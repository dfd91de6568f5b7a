"""seccomp(2): compiling an allow-list to BPF with libseccomp, and installing it in this process."""

import ctypes
import errno
import functools
import os
import struct
from typing import Any, NamedTuple

from argosy.linux.libc import SYS_SECCOMP, syscall

_SET_MODE_FILTER = 1
_ACT_ALLOW = 0x7FFF0000
_ACT_ERRNO = 0x00050000
_NR_SCMP_ERROR = -1
_FLTATR_CTL_OPTIMIZE = 8
_BINARY_TREE = 2
_OPERATORS = {"!=": 1, "<": 2, "<=": 3, "==": 4, ">=": 5, ">": 6, "masked": 7}
_ARCH_X86 = 0x40000003
_ARCH_X32 = 0x4000003E
_ARCH_ARM = 0x40000028
_ALSO_ON = {"x86_64": (_ARCH_X86, _ARCH_X32), "aarch64": (_ARCH_ARM,)}


# struct sock_filter of <linux/filter.h>, and offsets in <linux/seccomp.h>'s struct seccomp_data.
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _RETURN, _JUMP, _IF_EQUAL, _IF_GREATER, _IF_BITS = 0x20, 0x06, 0x05, 0x15, 0x25, 0x45
_NUMBER, _ARCHITECTURE = 0, 4
_X32_BIT = 0x40000000
# The kernel's AUDIT_ARCH numbers, which libseccomp goes by, too.
_NATIVE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


class Argument(NamedTuple):
    """A condition on argument `number` (from 0); `masked` means `argument & mask == value`."""

    number: int
    operator: str
    value: int
    mask: int = 0


class Rule(NamedTuple):
    """What becomes of a call: allowed when `errno` is 0, else failed with it."""

    name: str
    errno: int = 0
    arguments: tuple[Argument, ...] = ()


class _ArgCmp(ctypes.Structure):
    _fields_ = [
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    ]


class _SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


@functools.cache
def _library() -> Any:
    # By its name: ctypes.util would have the shim import a dozen modules, which every fork has to copy.
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError as error:
        raise OSError(
            2, "libseccomp.so.2 is missing; install it (Debian, Ubuntu: apt install libseccomp2)"
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    for function in (library.seccomp_release, library.seccomp_export_bpf, library.seccomp_attr_set):
        count = {"seccomp_release": 1, "seccomp_export_bpf": 2}.get(function.__name__, 3)
        function.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)[:count]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_ArgCmp),
    ]
    return library


def _checked(result: int, call: str) -> None:
    if result < 0:
        raise OSError(-result, f"{call}: {os.strerror(-result)}")


def compile_filter(default_errno: int, rules: tuple[Rule, ...]) -> bytes:
    """The BPF program of an allow-list for this machine and the ABIs it also runs.

    Calls that libseccomp does not know are left to the default. Raises OSError.
    """
    library = _library()
    context = library.seccomp_init(_ACT_ERRNO | default_errno if default_errno else _ACT_ALLOW)
    if not context:
        raise OSError(12, "seccomp_init failed")
    try:
        for architecture in _ALSO_ON.get(os.uname().machine, ()):
            _checked(library.seccomp_arch_add(context, architecture), "seccomp_arch_add")
        # Absent before libseccomp 2.5, where the filter merely is longer.
        library.seccomp_attr_set(context, _FLTATR_CTL_OPTIMIZE, _BINARY_TREE)
        for rule in rules:
            number = library.seccomp_syscall_resolve_name(rule.name.encode())
            action = _ACT_ERRNO | rule.errno if rule.errno else _ACT_ALLOW
            if number == _NR_SCMP_ERROR or rule.errno == default_errno:
                continue
            comparisons = (_ArgCmp * max(len(rule.arguments), 1))(
                *(
                    _ArgCmp(a.number, _OPERATORS[a.operator], a.mask, a.value)
                    if a.operator == "masked"
                    else _ArgCmp(a.number, _OPERATORS[a.operator], a.value, 0)
                    for a in rule.arguments
                )
            )
            _checked(
                library.seccomp_rule_add_array(context, action, number, len(rule.arguments), comparisons),
                f"seccomp rule for {rule.name}",
            )
        descriptor = os.memfd_create("seccomp")
        try:
            _checked(library.seccomp_export_bpf(context, descriptor), "seccomp_export_bpf")
            program = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        finally:
            os.close(descriptor)
        if not default_errno or default_errno == errno.ENOSYS:
            return program
        return _unknown_calls(library, rules) + program
    finally:
        library.seccomp_release(context)


def _unknown_calls(library: Any, rules: tuple[Rule, ...]) -> bytes:
    """What comes before the filter: a call younger than all that the policy speaks of is none (ENOSYS), as it
    would be on the kernel that the policy was written for. C libraries then do without it; forbidden, it is
    an error to them. As runc's `patchbpf`.
    """
    machine = os.uname().machine
    blocks = []
    for architecture in (_NATIVE.get(machine, 0), _ARCH_X86 if machine == "x86_64" else 0):
        if not architecture:
            continue
        numbers = [
            library.seccomp_syscall_resolve_name_arch(architecture, rule.name.encode()) for rule in rules
        ]
        # The ABI of 32-bit pointers numbers its calls with a bit of its own.
        others = [(_IF_BITS, 2, 0, _X32_BIT)] if machine == "x86_64" else []
        blocks.append(
            [
                (_LOAD, 0, 0, _NUMBER),
                *others,
                (_IF_GREATER, 0, 1, max(numbers, default=0)),
                (_RETURN, 0, 0, _ACT_ERRNO | errno.ENOSYS),
            ]
        )
        blocks[-1].insert(0, (_IF_EQUAL, 0, len(blocks[-1]) + 1, architecture))
    instructions = [(_LOAD, 0, 0, _ARCHITECTURE)]
    left = sum(len(block) + 1 for block in blocks)
    for block in blocks:
        left -= len(block) + 1
        # On to the filter itself.
        instructions += [*block, (_JUMP, 0, 0, left)]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in instructions)


def install(program: bytes) -> None:
    """Filter this process from now on. Needs CAP_SYS_ADMIN or no_new_privs. Raises OSError."""
    sock_fprog = _SockFprog(len(program) // 8, ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p))
    syscall(SYS_SECCOMP, "seccomp", _SET_MODE_FILTER, 0, ctypes.byref(sock_fprog))
