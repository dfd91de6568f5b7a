"""Writing tar entries: ustar where it is enough, a PAX header before it where it is not.

The bytes depend on nothing but the arguments, so that the same tree gives the same digest.
"""

from argosy.image.tar import BLOCK, padding

END = bytes(2 * BLOCK)
_OCTAL_SIZE_LIMIT = 8**11
_OCTAL_ID_LIMIT = 8**7
_NANOSECONDS = 1_000_000_000


def header(
    name: bytes,
    kind: bytes,
    *,
    mode: int,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    major: int = 0,
    minor: int = 0,
    xattrs: dict[bytes, bytes] | None = None,
) -> bytes:
    """An entry up to its contents, which the caller writes and pads. `mtime` in nanoseconds."""
    records: dict[bytes, bytes] = {}
    seconds, fraction = divmod(mtime, _NANOSECONDS)
    if fraction or not 0 <= seconds < _OCTAL_SIZE_LIMIT:
        records[b"mtime"] = _decimal_seconds(mtime)
    stored_name, prefix = _split(name)
    if len(stored_name) > 100 or not name.isascii():
        records[b"path"] = name
        stored_name, prefix = name[:100], b""
    if len(link) > 100 or not link.isascii():
        records[b"linkpath"] = link
    if uid >= _OCTAL_ID_LIMIT:
        records[b"uid"] = b"%d" % uid
    if gid >= _OCTAL_ID_LIMIT:
        records[b"gid"] = b"%d" % gid
    if size >= _OCTAL_SIZE_LIMIT:
        records[b"size"] = b"%d" % size
    for key, value in sorted((xattrs or {}).items()):
        records[b"SCHILY.xattr." + key] = value
    block = _block(
        stored_name,
        kind,
        mode,
        uid if uid < _OCTAL_ID_LIMIT else 0,
        gid if gid < _OCTAL_ID_LIMIT else 0,
        size if size < _OCTAL_SIZE_LIMIT else 0,
        seconds if 0 <= seconds < _OCTAL_SIZE_LIMIT else 0,
        link[:100],
        major,
        minor,
        prefix,
    )
    if not records:
        return block
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    directory, _, base = name.rstrip(b"/").rpartition(b"/")
    pax_name = (directory + b"/PaxHeaders.0/" + base).lstrip(b"/")
    if not pax_name.isascii():
        pax_name = b"PaxHeaders.0/entry"
    pax = _block(pax_name[:100], b"x", 0o644, 0, 0, len(data), 0, b"", 0, 0, b"")
    return pax + data + bytes(padding(len(data))) + block


def _split(name: bytes) -> tuple[bytes, bytes]:
    """ustar's (name, prefix): at most 100 and 155 bytes, joined by a slash that is not stored."""
    if len(name) <= 100:
        return name, b""
    slash = name.rfind(b"/", 0, min(156, len(name) - 1))
    if slash <= 0 or len(name) - slash - 1 > 100:
        return name, b""
    return name[slash + 1 :], name[:slash]


def _block(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    seconds: int,
    link: bytes,
    major: int,
    minor: int,
    prefix: bytes,
) -> bytes:
    fields = b"".join(
        (
            name.ljust(100, b"\0"),
            b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, seconds),
            b"        ",
            kind,
            link.ljust(100, b"\0"),
            b"ustar\x0000",
            bytes(64),
            b"%07o\0%07o\0" % (major, minor),
            prefix.ljust(155, b"\0"),
            bytes(12),
        )
    )
    return b"%b%06o\0 %b" % (fields[:148], sum(fields), fields[156:])


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _decimal_seconds(nanoseconds: int) -> bytes:
    sign = b"-" if nanoseconds < 0 else b""
    seconds, fraction = divmod(abs(nanoseconds), _NANOSECONDS)
    text = b"%b%d.%09d" % (sign, seconds, fraction)
    return text.rstrip(b"0").rstrip(b".")
