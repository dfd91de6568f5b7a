"""Images: names, content, layers, snapshots, and how they come and go.

`Images` is the whole of it for the engine; `Snapshotter` is what a root file system is made of.
Everything here is synchronous and safe to call from several threads.
"""

from argosy.image.credentials import Credentials
from argosy.image.leases import Lease
from argosy.image.overlay import OverlaySnapshotter
from argosy.image.record import ImageRecord, ImageUser, InUse
from argosy.image.reference import Reference, parse_reference
from argosy.image.snapshot import Mount, Snapshotter
from argosy.image.store import Images

__all__ = [
    "Credentials",
    "ImageRecord",
    "ImageUser",
    "Images",
    "InUse",
    "Lease",
    "Mount",
    "OverlaySnapshotter",
    "Reference",
    "Snapshotter",
    "parse_reference",
]
