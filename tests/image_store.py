"""Looking into an image store from outside, whatever its snapshotter."""

import os
from pathlib import Path

DRIVERS = ("erofs", "overlay")


def unfinished(root: str | Path) -> list[str]:
    """Files that only an interrupted transfer or staging leaves."""
    found = []
    for name in ("ingest", "snapshots/staging"):
        directory = os.path.join(root, name)
        if os.path.isdir(directory):
            found += [os.path.join(directory, item) for item in os.listdir(directory)]
    for directory, _, names in os.walk(os.path.join(root, "snapshots")):
        found += [os.path.join(directory, item) for item in names if item.endswith(".new")]
    return found


def bytes_on_disk(root: str | Path) -> int:
    """What the files of all layers take: their tars, and indexes or unpacked files beside them."""
    total = 0
    for blob in Path(root, "blobs", "sha256").iterdir():
        # Configurations are there too.
        total += blob.stat().st_size if not blob.read_bytes().startswith(b"{") else 0
    for path in [
        *Path(root, "snapshots").glob("erofs/*"),
        *Path(root, "snapshots").glob("committed/*/fs/**/*"),
    ]:
        total += path.lstat().st_size if not path.is_dir() else 0
    return total
