"""Loop devices (loop(4)): a file as a block device."""

import errno
import fcntl
import os
import struct

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_READ_ONLY, _AUTOCLEAR = 1, 4
# struct loop_config: fd and block size; loop_info64, of which only flags and name matter; reserved.
_CONFIG = struct.Struct("=II40xIIII64s64x32x16x64x")
_ATTEMPTS = 64


def open_loop(path: str) -> tuple[int, str]:
    """A read-only loop device over a file: a descriptor, and the device's path.

    The device goes when nobody has it open or mounted any more. Raises OSError.
    """
    backing = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            return _attach(control, backing, path)
        finally:
            os.close(control)
    finally:
        os.close(backing)


def _attach(control: int, backing: int, path: str) -> tuple[int, str]:
    name = os.fsencode(os.path.basename(path))[:63]
    config = _CONFIG.pack(backing, 0, 0, 0, 0, _READ_ONLY | _AUTOCLEAR, name)
    for _ in range(_ATTEMPTS):
        device = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(descriptor)
            # Somebody else took it in between.
            if error.errno != errno.EBUSY:
                raise
        else:
            return descriptor, device
    raise OSError(errno.EBUSY, "no loop device to be had", path)
