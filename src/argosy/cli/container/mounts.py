"""`--volume` and `--mount`."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_BARE = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive")
_KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_RECURSIVE = {
    "enabled": "",
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}
_OPTIONS_OF = {
    "bind": "BindOptions",
    "volume": "VolumeOptions",
    "image": "ImageOptions",
    "tmpfs": "TmpfsOptions",
}


def parse_volumes(specs: Iterable[str]) -> tuple[list[str], list[str]]:
    """Binds (with relative host paths made absolute) and the targets of anonymous volumes."""
    binds, anonymous = [], []
    for spec in specs:
        sections = _sections(spec)
        if len(sections) == 1:
            anonymous.append(spec)
            continue
        host, _, rest = spec.partition(":")
        binds.append(f"{os.path.abspath(host)}:{rest}" if host.startswith(".") else spec)
    return binds, anonymous


def _sections(spec: str) -> list[str]:
    if not spec:
        raise ValueError("invalid empty volume spec")
    if len(spec) <= 2:
        return [spec]
    sections: list[str] = []
    for part in spec.split(":"):
        # A single letter before a colon is a drive of Windows, part of the path that follows.
        if sections and len(sections[-1]) == 1 and sections[-1].isalpha():
            sections[-1] += f":{part}"
        else:
            sections.append(part)
    if "" in sections:
        raise ValueError(f"invalid spec: {spec}: empty section between colons")
    if len(sections) > 3:
        raise ValueError(f"invalid spec: {spec}: too many colons")
    return sections


def parse_tmpfs(specs: Iterable[str]) -> dict[str, str]:
    pairs = (spec.partition(":") for spec in specs)
    return {target: options for target, _, options in pairs}


def parse_mount(text: str) -> dict[str, Any]:
    """One `--mount` as the API's Mount."""
    from argosy.cli.values import split_fields

    mount: dict[str, Any] = {"Type": "volume"}
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            if key not in _BARE:
                raise ValueError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        key = _KEYS.get(key, key)
        if key == "type":
            mount["Type"] = value.lower()
        elif key == "source":
            relative = value == "." or value.startswith("./")
            mount["Source"] = os.path.abspath(value) if relative else value
        elif key == "target":
            mount["Target"] = value
        elif key == "readonly":
            mount["ReadOnly"] = _boolean(key, value)
        elif key == "consistency":
            mount["Consistency"] = value.lower()
        else:
            kind = key.partition("-")[0]
            apply = _SETTERS.get(kind)
            if apply is None or not apply(mount.setdefault(_OPTIONS_OF[kind], {}), key, value):
                raise ValueError(f"unexpected key '{key}' in '{field}'")
    _check(mount)
    return {key: value for key, value in mount.items() if value is not False}


def _boolean(key: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError(f"invalid value for {key}: {value}")


def _bind(options: dict[str, Any], key: str, value: str) -> bool:
    if key == "bind-propagation":
        options["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        options["NonRecursive"] = _boolean(key, value)
    elif key == "bind-recursive":
        if value not in _RECURSIVE:
            known = '"enabled", "disabled", "writable", or "readonly"'
            raise ValueError(f"invalid value for {key}: {value} (must be {known})")
        if _RECURSIVE[value]:
            options[_RECURSIVE[value]] = True
    else:
        return False
    return True


def _volume(options: dict[str, Any], key: str, value: str) -> bool:
    driver = options.setdefault("DriverConfig", {})
    name, _, setting = value.partition("=")
    if key == "volume-subpath":
        options["Subpath"] = value
    elif key == "volume-nocopy":
        options["NoCopy"] = _boolean(key, value)
    elif key == "volume-label":
        options.setdefault("Labels", {})[name] = setting
    elif key == "volume-driver":
        driver["Name"] = value
    elif key == "volume-opt":
        driver.setdefault("Options", {})[name] = setting
    else:
        return False
    return True


def _image(options: dict[str, Any], key: str, value: str) -> bool:
    if key == "image-subpath":
        options["Subpath"] = value
    return key == "image-subpath"


def _tmpfs(options: dict[str, Any], key: str, value: str) -> bool:
    from argosy.cli.values import parse_size

    try:
        if key == "tmpfs-size":
            options["SizeBytes"] = parse_size(value)
        elif key == "tmpfs-mode":
            options["Mode"] = int(value, 8)
        else:
            return False
    except ValueError:
        raise ValueError(f"invalid value for {key}: {value}") from None
    return True


_SETTERS = {"bind": _bind, "volume": _volume, "image": _image, "tmpfs": _tmpfs}


def _check(mount: dict[str, Any]) -> None:
    if not mount["Type"]:
        raise ValueError("type is required")
    if not mount.get("Target"):
        raise ValueError("target is required")
    for kind, options in _OPTIONS_OF.items():
        if options in mount and mount["Type"] != kind:
            raise ValueError(f"cannot mix '{kind}-*' options with mount type '{mount['Type']}'")
    recursion = mount.get("BindOptions", {})
    for word in ("writable", "readonly"):
        if recursion.get(_RECURSIVE[word]) and not mount.get("ReadOnly"):
            raise ValueError(
                f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction"
            )
    if recursion.get(_RECURSIVE["readonly"]) and recursion.get("Propagation") != "rprivate":
        raise ValueError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified"
            " in conjunction"
        )
