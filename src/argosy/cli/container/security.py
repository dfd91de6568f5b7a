"""`--security-opt`."""

from __future__ import annotations


def security_options(texts: list[str]) -> tuple[list[str], bool]:
    """What to send, profiles read from their files; and whether the system's paths stay unmasked."""
    result, unmasked = [], False
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            name, separator, value = text.partition(":")
        if text == "systempaths=unconfined":
            unmasked = True
            continue
        if not separator and text != "no-new-privileges":
            raise ValueError(f'Invalid --security-opt: "{text}"')
        if name == "seccomp" and value not in ("unconfined", "builtin"):
            text = f"seccomp={_profile(value)}"
        result.append(text)
    return result, unmasked


def _profile(path: str) -> str:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            profile = json.load(file)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ValueError(f"opening seccomp profile ({path}) failed: open {path}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"compacting json for seccomp profile ({path}) failed: {error}") from None
    return json.dumps(profile, separators=(",", ":"))
