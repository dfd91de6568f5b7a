"""A thread whose root directory is another one: whatever path it opens lies there, links and all.

A root is shared by all threads of a process until one says otherwise (unshare(2), CLONE_FS). Python itself
opens paths, too, when it imports: in somebody else's root that would run somebody else's code, so in such a
thread nothing can be imported (CVE-2019-14271 was this, by the C library's own modules).
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from argosy.linux import namespaces

_thread = threading.local()


class _NoImports:
    """A finder that comes first (importlib, "The meta path")."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if getattr(_thread, "is_confined", False):
            raise ImportError(f"{name} is imported in another root: it must be imported before", name=name)
        return None


sys.meta_path.insert(0, _NoImports())


@contextlib.contextmanager
def without_imports() -> Iterator[None]:
    """For a thread that has another root for a moment."""
    _thread.is_confined = True
    try:
        yield
    finally:
        _thread.is_confined = False


def confine(root: int) -> None:
    """Make the directory `root` this thread's /, for as long as it lives. Raises OSError."""
    namespaces.unshare(namespaces.CLONE_FS)
    os.fchdir(root)
    _thread.is_confined = True
    os.chroot(".")
