"""Users by name, looked up in a container's own files."""

import os

from argosy.linux.path import O_PATH, open_in_root
from argosy.runtime import users


def identity(root: int, user: str) -> users.Identity:
    """`root` is a descriptor of the container's root directory. Raises users.UserError."""
    return users.resolve(user, _lines(root, "/etc/passwd"), _lines(root, "/etc/group"), [])


def _lines(root: int, path: str) -> list[list[str]]:
    try:
        descriptor = open_in_root(root, path, O_PATH)
    except OSError:
        return []
    try:
        return users.read_lines(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
