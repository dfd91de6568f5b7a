"""Tables as Go's tabwriter lays them out for Docker: at least ten wide, three spaces between."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM = 10
GAP = 3


def render(rows: Sequence[Sequence[str]], minimum: int = MINIMUM) -> str:
    """Lines of aligned cells, each ended by a newline; the last cell of a row is not padded."""
    if not rows:
        return ""
    columns = max(len(row) for row in rows)
    widths = [0] * columns
    for row in rows:
        for place, cell in enumerate(row[:-1]):
            if len(cell) + GAP > widths[place]:
                widths[place] = len(cell) + GAP
    widths = [max(minimum, width) for width in widths]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("".join(cells) + row[-1] + "\n")
    return "".join(lines)
