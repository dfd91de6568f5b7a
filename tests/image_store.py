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
