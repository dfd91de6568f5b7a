"""Who a process runs as: `--user` and `--group-add` looked up in the container's own files.

The files belong to the container, so they are read as data of a bounded size, never waited on.
"""

import os
import stat
from typing import NamedTuple

_LIMIT = 8 << 20
_MAX_ID = (1 << 31) - 1


class Identity(NamedTuple):
    uid: int
    gid: int
    groups: list[int]
    home: str


class UserError(Exception):
    """The user or group does not exist; the message is Docker's."""


def read_lines(path: str) -> list[list[str]]:
    """The colon-separated lines of a passwd or group file; none when it is missing or no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return []
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return []
        text = os.read(descriptor, min(status.st_size, _LIMIT)).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
    return [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdigit():
        return None
    value = int(text)
    if value > _MAX_ID:
        raise UserError(f"uids and gids must be in range 0-{_MAX_ID}")
    return value


def _integer(fields: list[str], index: int) -> int:
    return int(fields[index]) if len(fields) > index and fields[index].isdecimal() else 0


def resolve(spec: str, passwd: list[list[str]], group: list[list[str]], extra: list[str]) -> Identity:
    """Docker's rules (moby `user.GetExecUser`): a name, or a number that need not be listed.

    Raises UserError.
    """
    user_part, _, group_part = spec.partition(":")
    user_part = user_part or "0"
    wanted = _number(user_part)
    uid, gid, home, name = wanted or 0, 0, "/", ""
    for fields in passwd:
        if len(fields) >= 3 and (fields[0] == user_part or (wanted is not None and fields[2] == user_part)):
            uid, gid, name = _integer(fields, 2), _integer(fields, 3), fields[0]
            home = fields[5] if len(fields) > 5 and fields[5] else "/"
            break
    else:
        if wanted is None:
            raise UserError(f"unable to find user {user_part}: no matching entries in passwd file")
    groups: list[int] = []
    if group_part:
        gid = _group(group_part, group)
    elif name:
        groups = [
            _integer(fields, 2) for fields in group if len(fields) >= 4 and name in fields[3].split(",")
        ]
    for item in extra:
        number = _group(item, group)
        if number not in groups:
            groups.append(number)
    if gid not in groups:
        groups.insert(0, gid)
    return Identity(uid, gid, groups, home)


def _group(text: str, group: list[list[str]]) -> int:
    for fields in group:
        if len(fields) >= 3 and fields[0] == text:
            return _integer(fields, 2)
    number = _number(text)
    if number is None:
        raise UserError(f"unable to find group {text}: no matching entries in group file")
    return number
