"""A process whose program nobody can change through it.

A container reaches the program of whatever process enters it by /proc/PID/exe, and a script that names
/proc/self/exe as its interpreter runs it. Held open, it can be written to once no process runs it any more
(CVE-2019-5736). So processes that become containers run from a copy in memory that is sealed
(memfd_create(2), fcntl(2) "File Sealing"), and the host's own interpreter is nowhere to be had from them.
"""

import errno
import fcntl
import os
import sys

_MFD_EXEC = 0x10
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_NAME = "argosy"
_OWN = "/proc/self/exe"


def is_sealed() -> bool:
    return os.readlink(_OWN).startswith(f"/memfd:{_NAME} ")


def run_sealed() -> None:
    """Begin this Python program anew from a sealed copy of its interpreter, unless it is run so already. What
    it has open stays open only where it is inheritable. Raises OSError."""
    if is_sealed():
        return
    program = _copy()
    environment = {**os.environ, **_library_path()}
    os.execve(program, [sys.executable, *sys.orig_argv[1:]], environment)


def _copy() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        copy = os.memfd_create(_NAME, flags | _MFD_EXEC)
    except OSError as error:
        # Kernels before 6.3 do not ask.
        if error.errno != errno.EINVAL:
            raise
        copy = os.memfd_create(_NAME, flags)
    source = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        left = os.fstat(source).st_size
        while left:
            left -= os.sendfile(copy, source, None, left)
    finally:
        os.close(source)
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    return copy


def _library_path() -> dict[str, str]:
    """Where a shared libpython is: an interpreter that looks for it beside itself (ld.so(8), $ORIGIN) has no
    place to look beside any more."""
    with open("/proc/self/maps") as maps:
        paths = (line.split(None, 5)[-1].strip() for line in maps if "/libpython" in line)
        directory = os.path.dirname(next(paths, ""))
    return {"LD_LIBRARY_PATH": directory} if directory else {}
