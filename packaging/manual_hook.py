"""Puts the manual's pages into the wheel: hatchling calls this when it builds one."""

import os
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, os.path.join(self.root, "src"))
        try:
            from argosy.cli import manual
        finally:
            sys.path.pop(0)
        directory = os.path.join(self.directory, "man1")
        manual.main(directory)
        for name in os.listdir(directory):
            build_data["shared_data"][os.path.join(directory, name)] = f"share/man/man1/{name}"
