"""How much is in a volume."""

import os

from argosy.linux.path import DIRECTORY
from argosy.linux.tree_size import tree_size


def size(path: str) -> int:
    """The bytes of the files below `path`, those with several names counted once; 0 if it is gone."""
    try:
        descriptor = os.open(path, DIRECTORY)
    except FileNotFoundError:
        return 0
    try:
        return tree_size(descriptor)[0]
    finally:
        os.close(descriptor)
