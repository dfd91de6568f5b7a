"""Whether a large context is as it was, without a look at each file from here.

find(1) asks the kernel for the status of 50,000 files and prints it in the time that Python takes to ask
alone. Its output is the context's fingerprint: names, types, modes, owners, inodes, sizes, mtime and ctime.
A fingerprint counts only if nothing had changed since just before the files were read that it stands for.
"""

import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from argosy.build.contexts import Context
from argosy.build.select import Selection

_MANY = 5000
_MOST_SKIPPED = 100
_RECENT = 0.1
_FORMAT = r"%P\0%y%m %U:%G %D:%i %s %T@ %C@\n"
_GLOB = re.compile(r"([*?\[\]\\])")


class _Known(NamedTuple):
    fingerprint: str
    skipped: tuple[str, ...]
    digest: str


class Selections:
    """The digests of what was selected of contexts before. Thread-safe."""

    _MOST = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[object, ...], _Known] = {}
        self._find = shutil.which("find")

    def digest(self, context: Context, question: tuple[object, ...], select: Callable[[], Selection]) -> str:
        """`question` is what is selected; `select` finds it, and raises what it raises."""
        status = os.fstat(context.descriptor)
        ignored = tuple(p.written for p in context.ignore.patterns) if context.ignore else ()
        key = (status.st_dev, status.st_ino, ignored, question)
        known = self._known.get(key)
        if known is not None and self._fingerprint(context, known.skipped) == known.fingerprint:
            return known.digest
        began = time.time()
        selection = select()
        digest = selection.digest()
        skipped = tuple(selection.files.skipped)
        if selection.entries >= _MANY and len(skipped) <= _MOST_SKIPPED:
            fingerprint = self._fingerprint(context, skipped)
            if fingerprint and not self._changed_since(context, skipped, began - _RECENT):
                self._remember(key, _Known(fingerprint, skipped, digest))
        return digest

    def _remember(self, key: tuple[object, ...], known: _Known) -> None:
        with self._lock:
            if len(self._known) >= self._MOST:
                self._known.clear()
            self._known[key] = known

    def _fingerprint(self, context: Context, skipped: Sequence[str]) -> str:
        output = self._run(context, skipped, ["-printf", _FORMAT])
        return hashlib.sha256(output).hexdigest() if output else ""

    def _changed_since(self, context: Context, skipped: Sequence[str], moment: float) -> bool:
        return self._run(context, skipped, ["-newerct", f"@{moment:.9f}", "-print", "-quit"]) != b""

    def _run(self, context: Context, skipped: Sequence[str], action: list[str]) -> bytes | None:
        """None if it failed, which is as good as not to know."""
        if self._find is None:
            return None
        patterns = [f"./{_GLOB.sub(_escaped, path)}" for path in skipped]
        pruned = [word for pattern in patterns for word in ("-path", pattern, "-prune", "-o")]
        done = subprocess.run(
            [self._find, ".", *pruned, *action],
            cwd=f"/proc/self/fd/{context.descriptor}",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        return done.stdout if done.returncode == 0 else None


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[1]}"
