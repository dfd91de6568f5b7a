"""Which system calls a container may make: Docker's default policy as data, and its evaluation.

The policy is an allow-list. A rule applies to the capabilities that the container keeps and to the
machine's architecture; what no rule allows fails with EPERM, except clone3, which fails with ENOSYS
so that C libraries fall back to clone, whose flags a filter can see.
"""

import hashlib
import json
import os
from typing import Any, NamedTuple

from argosy.linux.seccomp import Argument, Rule, compile_filter

EPERM = 1
ENOSYS = 38
# CLONE_NEW* except CLONE_NEWTIME: the namespaces that need no privilege once a user namespace exists.
_NEW_NAMESPACES = 0x7E020000
_AF_ALG = 38
_AF_VSOCK = 40

_ALWAYS = """
_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod
chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range
creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents
getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid
getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32
getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel
io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get
ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32
lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr
lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat
mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal
msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat
open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect
poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv
process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink
readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64
sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid
setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid
setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx
symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork
vmsplice wait4 waitid waitpid write writev
""".split()

_WITH_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
        "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
        "umount umount2 unshare "
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": ("kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace "),
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
_ON_MACHINE = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    "ppc64le": "sync_file_range2 swapcontext",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
    "riscv64": "riscv_flush_icache",
}
# Linux, UNAME26 (0x20000), READ_IMPLIES_EXEC-free Linux32 (8), both, and "tell me" (0xffffffff).
_PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)


# Of what is compiled: programs of another are not taken for it.
_FORMAT = 2


class Policy(NamedTuple):
    default_errno: int
    rules: tuple[Rule, ...]


def default_policy(capabilities: list[str], machine: str = os.uname().machine) -> Policy:
    """Docker's default policy for a container that keeps `capabilities`."""
    rules = [Rule(name) for name in _ALWAYS]
    rules += [
        Rule("socket", arguments=(Argument(0, "<", _AF_ALG),)),
        Rule("socket", arguments=(Argument(0, "==", _AF_ALG + 1),)),
        Rule("socket", arguments=(Argument(0, ">", _AF_VSOCK),)),
    ]
    rules += [Rule("personality", arguments=(Argument(0, "==", value),)) for value in _PERSONALITIES]
    rules += [Rule(name) for name in _ON_MACHINE.get(machine, "").split()]
    for capability in sorted(set(capabilities)):
        rules += [Rule(name) for name in _WITH_CAPABILITY.get(capability, "").split()]
    if "CAP_SYS_ADMIN" not in capabilities:
        flags_at = 1 if machine == "s390x" else 0
        rules.append(Rule("clone", arguments=(Argument(flags_at, "masked", 0, mask=_NEW_NAMESPACES),)))
        rules.append(Rule("clone3", errno=ENOSYS))
    return Policy(EPERM, tuple(rules))


def parse_policy(text: str, capabilities: list[str], machine: str = os.uname().machine) -> Policy:
    """A profile in Docker's JSON form (`--security-opt seccomp=FILE`).

    Raises ValueError for a profile that is none, or uses an action that is neither allow nor errno.
    """
    try:
        return _policy(json.loads(text), capabilities, machine)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a seccomp profile: {type(error).__name__}: {error}") from None


def _policy(document: Any, capabilities: list[str], machine: str) -> Policy:
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    operators = {
        "SCMP_CMP_NE": "!=",
        "SCMP_CMP_LT": "<",
        "SCMP_CMP_LE": "<=",
        "SCMP_CMP_EQ": "==",
        "SCMP_CMP_GE": ">=",
        "SCMP_CMP_GT": ">",
        "SCMP_CMP_MASKED_EQ": "masked",
    }

    def errno_of(action: str, given: int | None) -> int:
        if action in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG"):
            return 0
        if action == "SCMP_ACT_ERRNO":
            return EPERM if given is None else given
        raise ValueError(f"seccomp action {action} is not supported")

    rules = []
    for entry in document.get("syscalls") or []:
        includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
        if any(name not in capabilities for name in includes.get("caps") or []):
            continue
        if any(name in capabilities for name in excludes.get("caps") or []):
            continue
        if includes.get("arches") and architecture not in includes["arches"]:
            continue
        if architecture in (excludes.get("arches") or []):
            continue
        arguments = tuple(
            Argument(
                item["index"],
                operators[item["op"]],
                item.get("valueTwo", 0) if item["op"] == "SCMP_CMP_MASKED_EQ" else item["value"],
                mask=item["value"] if item["op"] == "SCMP_CMP_MASKED_EQ" else 0,
            )
            for item in entry.get("args") or []
        )
        errno = errno_of(entry["action"], entry.get("errnoRet"))
        names = entry.get("names") or ([entry["name"]] if "name" in entry else [])
        rules += [Rule(name, errno=errno, arguments=arguments) for name in names]
    default = errno_of(document.get("defaultAction", "SCMP_ACT_ERRNO"), document.get("defaultErrnoRet"))
    return Policy(default, tuple(rules))


def compiled(policy: Policy, cache_directory: str) -> str:
    """The path of the policy's BPF program, compiled once per policy. Atomic and idempotent."""
    digest = hashlib.sha256(f"{_FORMAT} {policy!r}".encode()).hexdigest()
    path = f"{cache_directory}/{digest}.bpf"
    if not os.path.exists(path):
        os.makedirs(cache_directory, mode=0o700, exist_ok=True)
        temporary = f"{path}.{os.urandom(6).hex()}"
        with open(temporary, "wb") as file:
            file.write(compile_filter(policy.default_errno, policy.rules))
        os.rename(temporary, path)
    return path
