"""STOPSIGNAL: the names that Docker knows (moby/sys, signal)."""

import re
import signal

from argosy.build.complain import DockerfileError, did_you_mean

_NAMES = {each.name.removeprefix("SIG") for each in signal.Signals} - {"RTMIN", "RTMAX"}
_REAL_TIME = re.compile(r"RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?")


def check_signal(text: str) -> None:
    """Raises DockerfileError for what is neither a number nor a name."""
    if re.fullmatch(r"[+-]?[0-9]+", text):
        known = int(text) != 0
    else:
        name = text.upper().removeprefix("SIG")
        known = name in _NAMES or _REAL_TIME.fullmatch(name) is not None
    if not known:
        raise DockerfileError(
            f"invalid signal: {text}{did_you_mean(text, [f'SIG{each}' for each in _NAMES])}"
        )
