"""How a layer says that something of the layers below is gone.

In a layer's tar (image-spec, "Layer"): an empty file `.wh.NAME` hides NAME, and `.wh..wh..opq` in a
directory hides all that the layers below have in it. On disk, in a directory that overlay mounts: a
character device 0:0 in NAME's place, and the attribute `trusted.overlay.opaque=y` on the directory
(`user.overlay.` in a user namespace, where the mount has the option userxattr).
"""

import os
import stat

PREFIX = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
# AUFS kept its own files under this name; they occur in old layers and mean nothing.
RESERVED_PREFIX = b".wh..wh."
TRUSTED_OPAQUE = "trusted.overlay.opaque"
USER_OPAQUE = "user.overlay.opaque"
# Overlay's own attributes: never taken from a tar, never written to one. A forged redirect would
# show another directory of the layers below.
OVERLAY_ATTRIBUTES = (b"trusted.overlay.", b"user.overlay.")
# What a security module of this host says of a file, such as SELinux's label, is no part of the file.
# Capabilities are (xattr(7), capabilities(7)).
_CAPABILITY = b"security.capability"
_LEFT_HERE = (b"security.", *OVERLAY_ATTRIBUTES)


def is_carried(attribute: bytes) -> bool:
    """Whether an extended attribute goes into a layer with its file."""
    return attribute == _CAPABILITY or not attribute.startswith(_LEFT_HERE)


def is_whiteout_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
