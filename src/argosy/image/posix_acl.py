"""Access control lists as extended attributes hold them (acl(5); Linux, posix_acl_xattr.h).

A version, then for each entry its tag, its permissions and an ID.
"""

import struct

ACCESS, DEFAULT = b"system.posix_acl_access", b"system.posix_acl_default"
_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_ORDER = (_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER)
_ONCE = (_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER)

_Entry = tuple[int, int, int]


def parse(value: bytes) -> list[_Entry]:
    """(tag, permissions, ID). Raises ValueError for what the kernel would refuse."""
    if len(value) < _HEADER.size or (len(value) - _HEADER.size) % _ENTRY.size:
        raise ValueError("invalid access control list")
    entries = [*_ENTRY.iter_unpack(value[_HEADER.size :])]
    tags = [tag for tag, _, _ in entries]
    if (
        _HEADER.unpack_from(value)[0] != _VERSION
        or any(tag not in _ORDER or permissions > 7 for tag, permissions, _ in entries)
        or tags != sorted(tags)
        or any(tags.count(tag) > 1 for tag in _ONCE)
        or not {_USER_OBJ, _GROUP_OBJ, _OTHER} <= set(tags)
        or (_MASK not in tags and (_USER in tags or _GROUP in tags))
    ):
        raise ValueError("invalid access control list")
    return entries


def with_mode(value: bytes, mode: int) -> bytes | None:
    """What chmod(2) makes of a file's list; None if the mode alone says as much. Raises ValueError."""
    entries = parse(value)
    group = _MASK if any(tag == _MASK for tag, _, _ in entries) else _GROUP_OBJ
    bits = {_USER_OBJ: mode >> 6 & 7, group: mode >> 3 & 7, _OTHER: mode & 7}
    if group == _GROUP_OBJ:
        return None
    changed = [(tag, bits.get(tag, permissions), number) for tag, permissions, number in entries]
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in changed)
