"""--log-driver and --log-opt."""

from typing import Any

from argosy.errors import InvalidParameter
from argosy.spec.docker_container import LogConfig
from argosy.units import parse_bytes

DRIVERS = ("json-file", "local", "none")
_MODES = ("blocking", "non-blocking")
_IGNORED = ("compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size")


def check(log: LogConfig) -> None:
    """Raises InvalidParameter."""
    if log.type not in DRIVERS:
        raise InvalidParameter(
            f'error looking up logging plugin {log.type}: plugin "{log.type}" not found',
            hint=f"Log drivers here are {', '.join(DRIVERS)}.",
        )
    if log.config:
        sizes(log)


def sizes(log: LogConfig) -> tuple[int, int]:
    """(bytes for each file, files), 20 MB × 5 unless --log-opt says otherwise. Raises InvalidParameter."""
    options: dict[str, Any] = dict(log.config or {})
    try:
        size = parse_bytes(options.pop("max-size", "20m").replace("-1", "0"))
    except ValueError as error:
        raise InvalidParameter(f"failed to initialize logging driver: {error}") from None
    text = options.pop("max-file", "5")
    if not text.removeprefix("-").isdecimal():
        raise InvalidParameter(
            f'failed to initialize logging driver: strconv.Atoi: parsing "{text}": invalid syntax'
        )
    mode = options.get("mode", _MODES[0])
    if mode not in _MODES:
        raise InvalidParameter(f"logger: logging mode not supported: {mode}")
    if mode == _MODES[0] and "max-buffer-size" in options:
        raise InvalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    for known in _IGNORED:
        options.pop(known, None)
    if options:
        first = sorted(options)[0]
        where = f"{log.type} log driver" if log.type == "json-file" else f"log driver {log.type}"
        raise InvalidParameter(f"unknown log opt '{first}' for {where}")
    if int(text) < 1:
        raise InvalidParameter("failed to initialize logging driver: max-file cannot be less than 1")
    return size, int(text)
