"""The keys that leave a container running: `ctrl-p,ctrl-q` unless the user names others."""

from __future__ import annotations

from argosy.cli.failure import Failure

DEFAULT = b"\x10\x11"
_NAMED = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """`ctrl-a,x` → the bytes that a terminal sends for them."""
    if not text:
        return DEFAULT
    codes = bytearray()
    for key in text.split(","):
        if len(key) == 1:
            codes += key.encode()
            continue
        letter = key.removeprefix("ctrl-").lower()
        if key.startswith("ctrl-") and len(letter) == 1 and "a" <= letter <= "z":
            codes.append(ord(letter) - ord("a") + 1)
        elif key.startswith("ctrl-") and letter in _NAMED:
            codes.append(_NAMED[letter])
        else:
            raise Failure(f"invalid detach keys ({text}): Unknown character: '{key}'", 125)
    return bytes(codes)


class KeyFilter:
    """Watches input for the sequence; a beginning of it is held back until it is clear what follows."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What may be passed on, and whether the sequence is complete."""
        passed = bytearray()
        for code in data:
            if code == self._sequence[self._matched]:
                self._matched += 1
                if self._matched == len(self._sequence):
                    self._matched = 0
                    return bytes(passed), True
                continue
            passed += self._sequence[: self._matched]
            self._matched = 1 if code == self._sequence[0] else 0
            if not self._matched:
                passed.append(code)
        return bytes(passed), False
