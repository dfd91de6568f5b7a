"""What was probably meant. Imported only when something is already wrong."""

from __future__ import annotations

import difflib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What people type for an option that is called something else.
_SYNONYMS = {
    "background": "detach",
    "bind": "volume",
    "cpu": "cpus",
    "daemon": "detach",
    "delete": "rm",
    "detached": "detach",
    "environment": "env",
    "envfile": "env-file",
    "host": "hostname",
    "mem": "memory",
    "port": "publish",
    "ports": "publish",
    "ram": "memory",
    "remove": "rm",
    "stdin": "interactive",
    "terminal": "tty",
    "vol": "volume",
    "volumes": "volume",
    "workingdir": "workdir",
}


def near(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    return difflib.get_close_matches(word, list(known), count, 0.6)


def long_flag(name: str, known: Iterable[str]) -> str:
    names = set(known)
    synonym = _SYNONYMS.get(name, "")
    best = [synonym] if synonym in names else near(name, sorted(names), 1)
    return f" (did you mean --{best[0]}?)" if best else ""


def short_flag(cluster: str, known: Iterable[str]) -> str:
    """`-rm`: a long option with one dash too few."""
    name = cluster.partition("=")[0]
    return f" (did you mean --{name}?)" if name in set(known) and len(name) > 1 else ""
