"""Identifiers: 64 hexadecimal digits, shown as their first twelve."""

import os
import re

SHORT_LENGTH = 12
_FULL = re.compile(r"[0-9a-f]{64}\Z")
_PREFIX = re.compile(r"[0-9a-f]{1,64}\Z")
# The Engine's container and volume names (moby `daemon/names`).
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")


def new_id() -> str:
    """A fresh identifier whose short form is not all digits, so that it can serve as a hostname."""
    while True:
        identifier = os.urandom(32).hex()
        if not identifier[:SHORT_LENGTH].isdigit():
            return identifier


def short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:SHORT_LENGTH]


def is_full(text: str) -> bool:
    return _FULL.match(text) is not None


def is_prefix(text: str) -> bool:
    return _PREFIX.match(text) is not None
