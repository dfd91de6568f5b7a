"""What nobody but the engine may look at, and the little beside it that others must.

The engine and the shim run with a umask that shows nothing to anybody. What a container or a user of the
host has to see is given its mode explicitly.
"""

import grp
import os
import stat

from argosy.errors import InvalidParameter
from argosy.linux.path import DIRECTORY

UMASK = 0o077


def make_private(path: str, group: str = "", mark: str = "") -> None:
    """Make the directory, or mend an older one's mode: root alone may enter, and `group` pass through, where
    there is such a group. `mark` is a file that shows it to be the engine's. Raises OSError, and
    InvalidParameter for a directory like /tmp, which holds what others have put there."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    try:
        number = grp.getgrnam(group).gr_gid if group else -1
    except KeyError:
        number = -1
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        held = os.listdir(descriptor) if status.st_mode & stat.S_IWOTH else []
        if held and mark not in held:
            raise InvalidParameter(
                f"{path} is a directory that everybody may write to", hint="Name a directory inside it."
            )
        mode = 0o700 if number < 0 else 0o710
        if stat.S_IMODE(status.st_mode) != mode:
            os.fchmod(descriptor, mode)
        if number >= 0 and status.st_gid != number:
            os.fchown(descriptor, -1, number)
    finally:
        os.close(descriptor)


def make_readable(path: str) -> None:
    """The directory and those above it, as mkdir -p with the usual umask. Raises OSError."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        os.mkdir(each, 0o700)
        # Whoever owns what is above it may put something else in its place.
        descriptor = os.open(each, DIRECTORY)
        os.fchmod(descriptor, 0o755)
        os.close(descriptor)


def hide(path: str) -> None:
    """Take from others what they could read of an older store's file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
