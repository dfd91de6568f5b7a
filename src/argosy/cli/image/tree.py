"""`argosy images --tree`: images with their platforms, laid out as Docker's client does it."""

from __future__ import annotations

import os
import sys

from argosy.cli.container.rows import ellipsis
from argosy.ids import short
from argosy.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.client.docker import Document

_WARNING = "WARNING: This is an experimental feature. The output may change and shouldn't be depended on."
_COLUMNS = (
    ("ID", 12, "left"),
    ("DISK USAGE", 10, "right"),
    ("CONTENT SIZE", 12, "right"),
    ("EXTRA", 5, "left"),
)
_SPACING = 3
_NARROWEST_NAME = 12
_DEFAULT_WIDTH, _LEAST_WIDTH = 80, 20
_PLAIN, _FAINT, _NAME = ("39",), ("39", "2"), ("34", "1")
_USED = ("38;5;0", "48;5;14")
_CHIP = " U "


class _Line:
    """What is shown of an image or of one of its platforms."""

    def __init__(self, name: str, style: tuple[str, ...], detail_style: tuple[str, ...]) -> None:
        self.name = name
        self.style = style
        self.detail_style = detail_style
        self.identifier = ""
        self.size = 0
        self.content = 0
        self.used = False

    def details(self) -> tuple[str, str, str, str]:
        chip = _CHIP if self.used else ""
        return short(self.identifier), format_bytes(self.size, 3), format_bytes(self.content, 3), chip


class _Image:
    def __init__(self, document: Document) -> None:
        names: list[str] = document.get("RepoTags") or ["<untagged>"]
        self.other_names, last = names[:-1], names[-1]
        style = _NAME if document.get("RepoTags") else _FAINT
        self.top = _Line(last, style, _PLAIN)
        self.top.identifier, self.top.size = document["Id"], document["Size"]
        manifests = document.get("Manifests") or []
        self.top.content = sum((manifest.get("Size") or {}).get("Content", 0) for manifest in manifests)
        self.platforms = [_platform_line(each) for each in manifests if each.get("Kind") == "image"]
        self.top.used = document.get("Containers", -1) > 0 or any(line.used for line in self.platforms)

    def widest(self) -> int:
        names = [*self.other_names, self.top.name]
        return max(len(name) for name in (*names, *(f"├─ {line.name}" for line in self.platforms)))


def _platform_line(manifest: Document) -> _Line:
    data, size = manifest.get("ImageData") or {}, manifest.get("Size") or {}
    platform = data.get("Platform") or {}
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    style = _PLAIN if manifest.get("Available") else _FAINT
    line = _Line("/".join(part for part in parts if part), style, style)
    line.identifier, line.size, line.content = manifest["ID"], size.get("Total", 0), size.get("Content", 0)
    line.used = bool(data.get("Containers"))
    return line


def show(documents: list[Document], *, everything: bool) -> None:
    """`everything`: images without any name, too."""
    found = [each for each in documents if everything or each.get("RepoTags") or each.get("RepoDigests")]
    images = [_Image(each) for each in sorted(found, key=lambda each: -int(each["Created"]))]
    tty = os.isatty(1)
    page = _Page(images, _width(tty), colours=tty)
    sys.stdout.write("".join(f"{line}\n" for line in page.lines()))


def _width(tty: bool) -> int:
    columns = os.get_terminal_size(1).columns if tty else 0
    return max(columns or _DEFAULT_WIDTH, _LEAST_WIDTH)


class _Page:
    def __init__(self, images: list[_Image], width: int, *, colours: bool) -> None:
        self._images = images
        self._width = width
        self._colours = colours
        self._columns = list(_COLUMNS)
        left = width
        for number, (_, column, _) in enumerate(_COLUMNS):
            if left - column - _SPACING < _NARROWEST_NAME:
                del self._columns[number:]
                break
            left -= column + _SPACING
        self._name_width = min(left, max((image.widest() for image in images), default=len("IMAGE")))

    def lines(self) -> list[str]:
        found = [self._styled(_WARNING, ("93",)), self._legend(), "", self._header()]
        spaced = any(image.platforms for image in self._images)
        for image in self._images:
            found += [self._styled(ellipsis(name, self._width), _NAME) for name in image.other_names]
            found.append(self._line(image.top))
            for number, line in enumerate(image.platforms, 1):
                line.name = ("└─ " if number == len(image.platforms) else "├─ ") + line.name
                found.append(self._line(line))
            if spaced:
                found.append("")
        return found

    def _legend(self) -> str:
        chip = self._styled(_CHIP, _USED)
        if not self._colours:
            return f"Info -> {chip}In Use ".rjust(self._width)
        sign = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m"
        return " " * (self._width - len("i Info →   U  In Use ")) + f"{sign} {chip} In Use "

    def _header(self) -> str:
        titles = [("IMAGE", self._name_width), *((title, width) for title, width, _ in self._columns)]
        # Bold wherever it is printed, as Docker's is.
        cells = [f"\x1b[39m\x1b[1m{title}\x1b[0m" + " " * (width - len(title)) for title, width in titles]
        return (" " * _SPACING).join(cells)

    def _line(self, line: _Line) -> str:
        name = ellipsis(line.name, self._name_width)
        cells = [self._styled(name, line.style) + " " * (self._name_width - len(name))]
        for (title, width, side), text in zip(self._columns, line.details(), strict=False):
            style = _USED if title == "EXTRA" else line.detail_style
            shown = self._styled(text, style) if text and self._colours else text.strip()
            padding = " " * (width - len(text if self._colours else shown))
            cells.append(padding + shown if side == "right" else shown + padding)
        return (" " * _SPACING).join(cells)

    def _styled(self, text: str, codes: tuple[str, ...]) -> str:
        if not self._colours:
            return text
        return "".join(f"\x1b[{code}m" for code in codes) + text + "\x1b[0m"
