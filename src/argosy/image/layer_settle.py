"""What a layer's tree means on top of others: what it leaves to them, and several made one."""

from argosy.image.erofs_read import IndexReader
from argosy.image.layer_tree import Directory, Node


def settle(root: Directory, lowers: list[IndexReader]) -> None:
    """Give the directories that a layer only implies what the layers below (uppermost first) gave them,
    and drop whiteouts where nothing is below, which overlay would show."""
    pending: list[tuple[bytes, Directory, bool]] = [(b"", root, True)]
    while pending:
        path, directory, below = pending.pop()
        if directory.opaque:
            below = False
        marks = [name for name, node in directory.children.items() if node.is_whiteout]
        if below and (directory.implied or marks):
            found = _find(path, lowers)
            if found is None:
                below = False
            elif directory.implied:
                _inherit(directory, found)
        if not below:
            for name in marks:
                del directory.children[name]
        for name, node in directory.children.items():
            if isinstance(node, Directory):
                pending.append((path + b"/" + name if path else name, node, below))


def _find(path: bytes, lowers: list[IndexReader]) -> Directory | None:
    """The directory that shows at `path` in the layers below."""
    for lower in lowers:
        node, hidden = lower.find(path)
        if isinstance(node, Directory):
            return node
        if hidden:
            return None
    return None


def _inherit(directory: Directory, source: Node) -> None:
    directory.mode = source.mode
    directory.uid = source.uid
    directory.gid = source.gid
    directory.mtime = source.mtime
    directory.xattrs = source.xattrs


def number(root: Directory, layer: int) -> None:
    """Say that the files of `root` are in the tar of the layer with this number."""
    pending = [root]
    while pending:
        for node in pending.pop().children.values():
            node.layer = layer
            if isinstance(node, Directory):
                pending.append(node)


def merge(lower: Directory, upper: Directory) -> None:
    """Put `upper` on `lower`, which becomes what overlay shows of both, still on top of other layers."""
    if not upper.implied:
        _inherit(lower, upper)
        lower.implied = False
    if upper.opaque:
        lower.children = {}
        lower.opaque = True
    pending = [(lower, upper)]
    while pending:
        into, above = pending.pop()
        for name, node in above.children.items():
            present = into.children.get(name)
            if not isinstance(node, Directory):
                into.children[name] = node
            elif not isinstance(present, Directory) or node.opaque:
                hides = present is not None and not isinstance(present, Directory)
                node.opaque = node.opaque or hides
                into.children[name] = node
            else:
                if not node.implied:
                    _inherit(present, node)
                    present.implied = False
                pending.append((present, node))
