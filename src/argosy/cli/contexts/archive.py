"""A context as an archive: `meta.json` and `tls/docker/*`, as Docker's client exports and imports it."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

from argosy.cli.contexts import store
from argosy.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 10 << 20
_METADATA = "meta.json"
_TLS = f"tls/{store.ENDPOINT}"


def packed(kept: store.Kept) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        document = {**kept.document, "Name": kept.name}
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        _add(archive, _METADATA, text.encode(), 0o644)
        _add(archive, "tls", None, 0o700)
        if kept.tls:
            _add(archive, _TLS, None, 0o700)
        for name, content in sorted(kept.tls.items()):
            _add(archive, f"{_TLS}/{name}", content, 0o600)
    return output.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes | None, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.mode = mode
    member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    member.size = len(content or b"")
    archive.addfile(member, io.BytesIO(content or b""))


def unpacked(name: str, data: bytes) -> store.Kept:
    """Raises Failure for what is no context's archive."""
    document, tls = None, {}
    for path, content in _files(data):
        folder, _, file = path.removeprefix("./").rpartition("/")
        if not folder and file == _METADATA:
            document = _decoded(content)
        elif folder == _TLS and file in store.TLS_FILES:
            tls[file] = content
        elif not path.startswith("tls/"):
            raise Failure(f"invalid context: unexpected context file: {path}")
    if document is None:
        raise Failure("invalid context: no metadata found")
    return store.Kept(name, document, tls)


def _decoded(content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise Failure(f"invalid context: {_METADATA}: {error}") from None
    if not isinstance(found, dict):
        raise Failure(f"invalid context: {_METADATA} is no JSON object")
    return found


def _files(data: bytes) -> Iterator[tuple[str, bytes]]:
    if not data:
        return
    try:
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as zipped:
                for info in zipped.infolist():
                    if not info.is_dir():
                        with zipped.open(info) as member:
                            yield info.filename, _limited(member.read(LIMIT + 1))
            return
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for entry in archive:
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is not None:
                    yield entry.name, _limited(file.read(LIMIT + 1))
    except tarfile.TarError:
        raise Failure("archive/tar: invalid tar header") from None
    except zipfile.BadZipFile as error:
        raise Failure(f"zip: not a valid zip file: {error}") from None


def _limited(content: bytes) -> bytes:
    if len(content) > LIMIT:
        raise Failure("invalid context: a file in it is too large")
    return content
