"""What a build may use and must not keep: --secret and --ssh; and which registries it may log in to."""

from __future__ import annotations

import base64
import os

from argosy.cli.failure import Failure

TYPE_CHECKING = False

_LARGEST_SECRET = 500 << 10
_KEYS = frozenset(("type", "id", "src", "source", "env"))


def secrets(texts: list[str]) -> dict[str, str]:
    """Values by id, in base64. Raises Failure."""
    found = {}
    for text in texts:
        fields = _fields(text)
        identifier = fields.get("id") or os.path.basename(fields.get("src", "")) or fields.get("env", "")
        if not identifier:
            raise Failure(f"invalid secret {text!r}: it has no id\nGive one: --secret id=NAME,src=FILE")
        found[identifier] = base64.b64encode(_value(identifier, fields)).decode()
    return found


def _fields(text: str) -> dict[str, str]:
    from argosy.cli.values import split_fields

    fields = {}
    for field in split_fields(text):
        name, equals, value = field.partition("=")
        if not equals or name not in _KEYS:
            raise Failure(f"invalid secret {text!r}: unexpected key {name!r}\nKeys are id, src, env and type")
        fields["src" if name == "source" else name] = value
    kind = fields.get("type", "file")
    if kind not in ("file", "env"):
        raise Failure(f"unsupported secret type {kind!r}")
    if kind == "env" and "env" not in fields:
        fields["env"] = fields.pop("src", fields.get("id", ""))
    return fields


def _value(identifier: str, fields: dict[str, str]) -> bytes:
    variable = fields.get("env") or ("" if "src" in fields else identifier)
    if variable and variable in os.environ:
        return os.environb[os.fsencode(variable)]
    if fields.get("env"):
        raise Failure(f"failed to read secret {identifier}: the environment has no {variable}")
    path = os.path.expanduser(fields.get("src") or identifier)
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_SECRET + 1)
    except OSError as error:
        raise Failure(f"failed to read secret {identifier}: {path}: {error.strerror}") from None
    if len(data) > _LARGEST_SECRET:
        raise Failure(f"invalid secret {identifier}: {path} is larger than {_LARGEST_SECRET >> 10} KB")
    return data


def agents(texts: list[str]) -> dict[str, str]:
    """Paths of SSH agents' sockets by id. Raises Failure."""
    found = {}
    for text in texts:
        identifier, _, path = text.partition("=")
        path = path or os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise Failure(
                f"invalid empty ssh agent socket for {identifier}: SSH_AUTH_SOCK is not set\n"
                'Start an agent first: eval "$(ssh-agent)" && ssh-add'
            )
        if not os.path.exists(path):
            raise Failure(f"failed to find ssh agent socket {path}")
        if not _is_socket(path):
            raise Failure(f"{path} is a key, not an agent's socket\nAdd it to an agent: ssh-add {path}")
        found[identifier or "default"] = os.path.realpath(path)
    return found


def _is_socket(path: str) -> bool:
    import stat

    return stat.S_ISSOCK(os.stat(path).st_mode)
