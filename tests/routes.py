"""What the API answers to, read from the code that says so."""

from typing import Any

from argosy.api.build import BuildRoutes
from argosy.api.buildkit.routes import BuildKit
from argosy.api.check import Check
from argosy.api.containers import Containers
from argosy.api.execs import Execs
from argosy.api.filesystem import Filesystem
from argosy.api.images import ImageRoutes
from argosy.api.registries import RegistryRoutes
from argosy.api.router import Router
from argosy.api.system import System
from argosy.api.volumes import NetworkRoutes, Volumes

_PARTS: tuple[Any, ...] = (
    System, Containers, Execs, Filesystem, ImageRoutes, Volumes, NetworkRoutes, Check, RegistryRoutes, BuildRoutes,
    BuildKit,
)  # fmt: skip


class _Recorder(Router):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def add(self, method: str, pattern: str, route: object) -> None:
        self.found.append((method, pattern))


def all_routes() -> list[tuple[str, str]]:
    """(method, pattern)."""
    recorder = _Recorder()
    for part in _PARTS:
        # Nothing but its methods is asked for.
        part.route(object.__new__(part), recorder)
    return recorder.found


def filled(pattern: str, name: str) -> str:
    """A path of the pattern."""
    parts = [name if part.startswith("{") else part for part in pattern.split("/")]
    return "/".join(parts)
