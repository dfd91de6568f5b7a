"""COPY --chmod: octal as `755`, or symbolic as chmod(1) writes it, `u=rwX,go=rX`."""

import re
from typing import NamedTuple

from argosy.build.complain import DockerfileError

_CLAUSE = re.compile(r"([ugoa]*)([-+=][rwxXstugo]*)+\Z")
_STEP = re.compile(r"([-+=])([rwxXstugo]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


class ModeChange(NamedTuple):
    text: str

    def applied(self, mode: int, *, directory: bool) -> int:
        """To the permission bits of a file."""
        if self.text.isdigit():
            return int(self.text, 8)
        for clause in self.text.split(","):
            who = re.match(r"[ugoa]*", clause)
            assert who is not None
            classes = who[0].replace("a", "ugo") or "ugo"
            for operator, letters in _STEP.findall(clause[who.end() :]):
                mode = _step(mode, classes, operator, letters, directory=directory)
        return mode


def parse_mode(text: str) -> ModeChange | None:
    """Raises DockerfileError."""
    if not text:
        return None
    if text.isdigit():
        if any(digit in "89" for digit in text) or int(text, 8) > 0o7777:
            raise DockerfileError(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            )
    elif not all(_CLAUSE.match(clause) for clause in text.split(",")):
        raise DockerfileError(
            f"invalid chmod parameter: '{text}'", hint="As in chmod(1): 755, or u=rwX,go=rX"
        )
    return ModeChange(text)


def _step(mode: int, classes: str, operator: str, letters: str, *, directory: bool) -> int:
    executable = directory or bool(mode & 0o111)
    for each in dict.fromkeys(classes):
        shift = _SHIFT[each]
        bits = sum(_BITS[letter] for letter in "rwx" if letter in letters)
        if "X" in letters and executable:
            bits |= 1
        for other in "ugo":
            if other in letters:
                bits |= mode >> _SHIFT[other] & 7
        special = {"u": 0o4000, "g": 0o2000, "o": 0}[each] if "s" in letters else 0
        mask = bits << shift | special
        if operator == "=":
            mode = mode & ~(7 << shift) | mask
        elif operator == "+":
            mode |= mask
        else:
            mode &= ~mask
    if "t" in letters:
        mode = mode & ~0o1000 if operator == "-" else mode | 0o1000
    return mode
