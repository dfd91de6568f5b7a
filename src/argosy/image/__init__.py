"""Images: names, content, layers, snapshots, and how they come and go.

`Images` is the whole of it for the engine; `Snapshotter` is what a root file system is made of.
Everything here is synchronous and safe to call from several threads.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argosy.image.credentials import Credentials
    from argosy.image.leases import Lease
    from argosy.image.overlay import OverlaySnapshotter
    from argosy.image.record import ImageRecord, ImageUser, InUse
    from argosy.image.reference import Reference, parse_reference
    from argosy.image.snapshot import Mount, Snapshotter
    from argosy.image.store import Images
else:
    # The command line needs a module or two of this package, not registries and databases.
    _MODULES = {
        "Credentials": "credentials",
        "ImageRecord": "record",
        "ImageUser": "record",
        "Images": "store",
        "InUse": "record",
        "Lease": "leases",
        "Mount": "snapshot",
        "OverlaySnapshotter": "overlay",
        "Reference": "reference",
        "Snapshotter": "snapshot",
        "parse_reference": "reference",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(name)
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


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
