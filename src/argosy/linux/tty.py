"""Pseudo-terminals of a devpts instance, and their size."""

import fcntl
import os
import stat
import struct
import termios

TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441
_PTMX = (5, 2)


def open_pty(ptmx: str = "/dev/pts/ptmx") -> tuple[int, int, int]:
    """A new terminal of the devpts behind `ptmx`: (master, slave, its number).

    Raises OSError, also when `ptmx` is not the kernel's multiplexer: the path may be under a
    container's control.
    """
    master = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        status = os.fstat(master)
        if not stat.S_ISCHR(status.st_mode) or (os.major(status.st_rdev), os.minor(status.st_rdev)) != _PTMX:
            raise OSError(19, "not a terminal multiplexer", ptmx)
        fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
        number = struct.unpack("i", fcntl.ioctl(master, TIOCGPTN, b"\0" * 4))[0]
        # TIOCGPTPEER opens the slave without going through a path.
        slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except BaseException:
        os.close(master)
        raise
    return master, slave, number


def set_size(descriptor: int, rows: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def make_controlling(descriptor: int) -> None:
    """Make it the controlling terminal of this session leader."""
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
