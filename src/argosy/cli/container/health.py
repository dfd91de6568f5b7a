"""`--health-*`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from argosy.cli.flags import Options

_DURATIONS = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
}


def healthcheck(options: Options) -> dict[str, Any] | None:
    """The API's `Healthcheck`, or None where nothing of it was given."""
    names = ("health-cmd", "health-retries", *_DURATIONS)
    if not options.on("no-healthcheck") and options.given.isdisjoint(names):
        return None
    durations = {key: options.number(name) for name, key in _DURATIONS.items()}
    retries = options.number("health-retries")
    command = options.text("health-cmd")
    if options.on("no-healthcheck"):
        if command or retries or any(durations.values()):
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    for name, key in _DURATIONS.items():
        if durations[key] < 0:
            raise ValueError(f"--{name} cannot be negative")
    if retries < 0:
        raise ValueError("--health-retries cannot be negative")
    check: dict[str, Any] = {key: value for key, value in durations.items() if value}
    if command:
        check["Test"] = ["CMD-SHELL", command]
    if retries:
        check["Retries"] = retries
    return check or None
